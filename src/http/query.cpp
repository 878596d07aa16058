#include "http/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "http/request.h"

namespace sutazai::http {

namespace {

std::string decoded(std::string_view text) {
    std::string out(text);
    std::ranges::replace(out, '+', ' ');
    return percent_decoded(out);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> query_pairs(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
        out.emplace_back(decoded(pair.substr(0, equals)), decoded(value));
    }
    return out;
}

std::string query_value(std::string_view query, std::string_view name) {
    for (auto& [found, value] : query_pairs(query)) {
        if (found == name) return std::move(value);
    }
    return {};
}

Result<std::optional<std::uint64_t>> query_number(std::string_view query, std::string_view name, std::uint64_t least,
                                                  std::uint64_t most) {
    const std::string text = query_value(query, name);
    if (text.empty()) return std::nullopt;
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc() || stop != end || number < least || number > most) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} must be between {} and {}", name, least, most),
                    std::string(name));
    }
    return number;
}

}  // namespace sutazai::http
