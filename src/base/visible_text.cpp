#include "base/visible_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "base/utf8_stream.h"

namespace sutazai {
namespace {

/// The character that `text` begins with, if it is one that has to be shown as an escape, and its bytes; else 0 of
/// them.
std::pair<std::uint32_t, std::size_t> hidden_character(std::string_view text) {
    const auto byte = [&](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : std::uint32_t{0};
    };
    const std::uint32_t first = byte(0);
    if (first < 0x20 || first == 0x7f) return {first, 1};
    if (first == 0xc2 && byte(1) < 0xa0) return {byte(1), 2};
    if (first == 0xd8 && byte(1) == 0x9c) return {0x61c, 2};
    if (first != 0xe2 || byte(1) < 0x80 || byte(1) > 0x81) return {0, 0};
    const std::uint32_t point = 0x2000 | ((byte(1) & 0x3f) << 6) | (byte(2) & 0x3f);
    const bool is_mark = (point >= 0x200e && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
                         (point >= 0x2066 && point <= 0x2069);
    return is_mark ? std::pair{point, std::size_t{3}} : std::pair{std::uint32_t{0}, std::size_t{0}};
}

std::string escaped(std::uint32_t point) {
    switch (point) {
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
        default: return point < 0xa0 ? fmt::format("\\x{:02x}", point) : fmt::format("\\u{:04x}", point);
    }
}

template <typename Escape>
std::string with_escapes(std::string_view text, Escape escape) {
    std::string whole;
    Utf8Stream stream;
    stream.append(text, whole);
    stream.finish(whole);
    std::string out;
    out.reserve(whole.size());
    for (std::string_view rest = whole; !rest.empty();) {
        const auto [point, bytes] = hidden_character(rest);
        if (bytes == 0) {
            out += rest.front();
        } else {
            out += escape(point);
        }
        rest.remove_prefix(bytes == 0 ? 1 : bytes);
    }
    return out;
}

}  // namespace

std::string visible(std::string_view text) {
    return with_escapes(text, escaped);
}

std::string visible_json(std::string_view json) {
    return with_escapes(json, [](std::uint32_t point) { return fmt::format("\\u{:04x}", point); });
}

}  // namespace sutazai
