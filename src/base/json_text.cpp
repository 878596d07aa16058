#include "base/json_text.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8_stream.h"

namespace sutazai {

namespace json = boost::json;

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
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(byte));
    }
}

void append_double(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    const std::size_t start = out.size();
    fmt::format_to(std::back_inserter(out), "{}", number);
    if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
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
            Utf8Stream utf8;
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
    std::array<char, std::numeric_limits<std::uint64_t>::digits10 + 1> digits{};
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), result.ptr);
}

void append_json(std::string& out, const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: out += "null"; return;
        case json::kind::bool_: out += value.get_bool() ? "true" : "false"; return;
        case json::kind::int64: fmt::format_to(std::back_inserter(out), "{}", value.get_int64()); return;
        case json::kind::uint64: append_number(out, value.get_uint64()); return;
        case json::kind::double_: append_double(out, value.get_double()); return;
        case json::kind::string: append_quoted(out, value.get_string()); return;
        case json::kind::array: {
            char before = '[';
            for (const json::value& entry : value.get_array()) {
                out += std::exchange(before, ',');
                append_json(out, entry);
            }
            out += before == '[' ? "[]" : "]";
            return;
        }
        case json::kind::object: {
            char before = '{';
            for (const auto& [name, member] : value.get_object()) {
                out += std::exchange(before, ',');
                append_quoted(out, name);
                out += ':';
                append_json(out, member);
            }
            out += before == '{' ? "{}" : "}";
            return;
        }
    }
}

std::string to_json(const json::value& value) {
    std::string out;
    append_json(out, value);
    return out;
}

double as_written(float number) {
    if (!std::isfinite(number)) return static_cast<double>(number);
    std::array<char, 32> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    double out = 0;
    std::from_chars(digits.data(), written.ptr, out);
    return out;
}

double rounded(double number, int digits) {
    const double scale = std::pow(10.0, digits);
    return std::round(number * scale) / scale;
}

}  // namespace sutazai
