#include "config/value_parsers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace sutazai::config {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 3> kUnits{
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}}};

/// False unless all of `text` is one decimal number.
bool read_digits(std::string_view text, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r";
    const auto first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return out;
}

Parsed<bool> parse_bool(std::string_view text) {
    const std::string word = lower(text);
    if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
    if (word == "false" || word == "0" || word == "no" || word == "off") return false;
    return std::unexpected("true or false (or yes/no, on/off, 1/0)");
}

Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
    std::uint64_t value = 0;
    if (!read_digits(text, value) || value < least || value > most) {
        return std::unexpected(fmt::format("a whole number from {} to {}", least, most));
    }
    return value;
}

Parsed<std::uint64_t> parse_bytes(std::string_view text, std::uint64_t least, std::uint64_t most) {
    const auto allowed = [&] {
        return std::unexpected(
            fmt::format("a size from {} to {}, in bytes or with KiB, MiB or GiB", show_bytes(least), show_bytes(most)));
    };
    const auto digits_end = text.find_first_not_of("0123456789");
    std::uint64_t value = 0;
    if (!read_digits(text.substr(0, digits_end), value)) return allowed();
    std::uint64_t factor = 1;
    if (digits_end != std::string_view::npos) {
        const std::string unit = lower(trim(text.substr(digits_end)));
        const auto* known = std::ranges::find_if(kUnits, [&](const auto& candidate) {
            const std::string name = lower(candidate.first);
            return unit == name || unit == name.substr(0, 1);
        });
        if (known == kUnits.end()) return allowed();
        factor = known->second;
    }
    if (value > std::numeric_limits<std::uint64_t>::max() / factor) return allowed();
    value *= factor;
    if (value < least || value > most) return allowed();
    return value;
}

Parsed<std::vector<std::string>> parse_list(std::string_view text) {
    std::vector<std::string> parts;
    if (trim(text).empty()) return parts;
    for (;;) {
        const auto comma = text.find(',');
        const std::string_view part = trim(text.substr(0, comma));
        if (part.empty()) return std::unexpected("a comma separated list without empty parts");
        parts.emplace_back(part);
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

std::string show_bytes(std::uint64_t value) {
    for (const auto& [name, factor] : kUnits) {
        if (value >= factor && value % factor == 0) return fmt::format("{}{}", value / factor, name);
    }
    return fmt::format("{}", value);
}

}  // namespace sutazai::config
