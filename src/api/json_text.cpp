#include "api/json_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <charconv>

#include "text/utf8_stream.h"

namespace sutazai::api {

namespace {

enum class Class : std::uint8_t { kPlain, kEscape, kBeyondAscii };

constexpr std::array<Class, 256> kClasses = [] {
    std::array<Class, 256> classes{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
        const bool escape = byte < 0x20 || byte == '"' || byte == '\\';
        classes[byte] = escape ? Class::kEscape : byte < 0x80 ? Class::kPlain : Class::kBeyondAscii;
    }
    return classes;
}();

Class class_of(char byte) {
    return kClasses[static_cast<std::uint8_t>(byte)];
}

void append_escape(std::string& out, char byte) {
    switch (byte) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(byte));
    }
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        const std::size_t start = i;
        const Class kind = class_of(text[i]);
        if (kind == Class::kEscape) {
            append_escape(out, text[i++]);
            continue;
        }
        while (i < text.size() && class_of(text[i]) == kind) ++i;
        if (kind == Class::kPlain) {
            out.append(text, start, i - start);
        } else {
            text::Utf8Stream utf8;
            utf8.append(text.substr(start, i - start), out);
            utf8.finish(out);
        }
    }
}

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    append_escaped(out, text);
    out += '"';
}

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits{};
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), result.ptr);
}

void append_usage(std::string& out, const Usage& usage) {
    out += R"({"prompt_tokens":)";
    append_number(out, usage.prompt_tokens);
    out += R"(,"completion_tokens":)";
    append_number(out, usage.completion_tokens);
    out += R"(,"total_tokens":)";
    append_number(out, std::uint64_t{usage.prompt_tokens} + usage.completion_tokens);
    out += R"(,"prompt_tokens_details":{"cached_tokens":)";
    append_number(out, usage.cached_tokens);
    out += "}}";
}

void append_timestamp(std::string& out, std::chrono::system_clock::time_point when) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(when);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
    fmt::format_to(std::back_inserter(out), "{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                   fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), (ms - seconds).count());
}

}  // namespace sutazai::api
