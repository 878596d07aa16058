#include "serve/request_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>

namespace sutazai::serve {

bool is_request_id(std::string_view text) {
    if (text.empty() || text.size() > kMostRequestIdBytes) return false;
    return std::ranges::all_of(text, [](char c) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return is_letter || (c >= '0' && c <= '9') || std::string_view("-_.:/+=@").find(c) != std::string_view::npos;
    });
}

bool is_traceparent(std::string_view text) {
    constexpr std::string_view kShape = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
    if (text.size() != kShape.size() || text.starts_with("ff")) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (kShape[i] == '-' ? text[i] != '-' : !is_digit) return false;
    }
    const auto all_zero = [](std::string_view id) { return id.find_first_not_of('0') == std::string_view::npos; };
    return !all_zero(text.substr(3, 32)) && !all_zero(text.substr(36, 16));
}

std::string new_request_id() {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    return fmt::format("req_{:016x}{:08x}", random(), random() & 0xffffffffU);
}

}  // namespace sutazai::serve
