#include "upstream/answer_parts.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostTop = 100;

float logprob_of(const json::value* value) {
    if (value == nullptr || !value->is_number()) return 0;
    const auto number = value->to_number<double>();
    return std::isfinite(number) ? static_cast<float>(std::clamp(number, -1e30, 1e30)) : 0;
}

TokenChance chance_of(const json::object& from) {
    TokenChance out{std::string(text_in(from, "token")), logprob_of(from.if_contains("logprob"))};
    const json::array* bytes = array_in(from, "bytes");
    if (bytes == nullptr || bytes->empty()) return out;
    std::string piece;
    for (const json::value& byte : *bytes) {
        const auto* number = byte.if_int64();
        if (number == nullptr || *number < 0 || *number > 255) return out;
        piece += static_cast<char>(*number);
    }
    out.piece = std::move(piece);
    return out;
}

/// "bytes:\xe2\x82" stands for a token that is no whole character.
std::string piece_of(std::string_view name) {
    constexpr std::string_view kBytes = "bytes:";
    if (!name.starts_with(kBytes)) return std::string(name);
    std::string piece;
    std::string_view rest = name.substr(kBytes.size());
    while (rest.size() >= 4 && rest.starts_with("\\x")) {
        unsigned value = 0;
        const auto [end, failure] = std::from_chars(rest.data() + 2, rest.data() + 4, value, 16);
        if (failure != std::errc() || end != rest.data() + 4) break;
        piece += static_cast<char>(value);
        rest.remove_prefix(4);
    }
    return rest.empty() && !piece.empty() ? piece : std::string(name);
}

}  // namespace

const json::object* object_in(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_in(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value == nullptr ? nullptr : value->if_array();
}

std::string_view text_in(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    return value == nullptr || !value->is_string() ? std::string_view() : std::string_view(value->get_string());
}

std::uint64_t count_in(const json::object& from, std::string_view name) {
    const json::value* value = from.if_contains(name);
    if (value == nullptr) return 0;
    if (const auto* number = value->if_int64()) return *number < 0 ? 0 : static_cast<std::uint64_t>(*number);
    if (const auto* number = value->if_uint64()) return *number;
    return 0;
}

std::uint32_t small_count_in(const json::object& from, std::string_view name) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(count_in(from, name), std::numeric_limits<std::uint32_t>::max()));
}

void add_chat_scores(const json::array& list, std::vector<TokenScore>& out) {
    for (const json::value& entry : list) {
        const json::object* token = entry.if_object();
        if (token == nullptr) continue;
        TokenScore score{.token = chance_of(*token)};
        if (const json::array* top = array_in(*token, "top_logprobs")) {
            for (const json::value& one : *top) {
                if (one.is_object() && score.top.size() < kMostTop) score.top.push_back(chance_of(one.get_object()));
            }
        }
        out.push_back(std::move(score));
    }
}

void add_text_scores(const json::object& lists, std::vector<TokenScore>& out) {
    const json::array* tokens = array_in(lists, "tokens");
    if (tokens == nullptr) return;
    const json::array* chances = array_in(lists, "token_logprobs");
    const json::array* tops = array_in(lists, "top_logprobs");
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        if (!(*tokens)[i].is_string()) continue;
        const json::value* chance = chances != nullptr && i < chances->size() ? &(*chances)[i] : nullptr;
        TokenScore score{.token = {piece_of(std::string_view((*tokens)[i].get_string())), logprob_of(chance)}};
        score.scored = chance != nullptr && chance->is_number();
        const json::object* top = tops != nullptr && i < tops->size() ? (*tops)[i].if_object() : nullptr;
        if (top != nullptr) {
            for (const auto& [name, value] : *top) {
                if (score.top.size() < kMostTop) score.top.push_back({piece_of(name), logprob_of(&value)});
            }
            std::ranges::stable_sort(score.top, std::greater<>(), &TokenChance::logprob);
        }
        out.push_back(std::move(score));
    }
}

Usage usage_of(const json::object& usage) {
    Usage out{small_count_in(usage, "prompt_tokens"), small_count_in(usage, "completion_tokens")};
    if (const json::object* details = object_in(usage, "prompt_tokens_details")) {
        out.cached_tokens = std::min(small_count_in(*details, "cached_tokens"), out.prompt_tokens);
    }
    if (const json::object* details = object_in(usage, "completion_tokens_details")) {
        out.reasoning_tokens = std::min(small_count_in(*details, "reasoning_tokens"), out.completion_tokens);
    }
    return out;
}

FinishReason finish_reason_of(std::string_view name) {
    if (name == "length" || name == "max_tokens") return FinishReason::kLength;
    if (name == "tool_calls" || name == "function_call") return FinishReason::kToolCalls;
    if (name == "cancelled") return FinishReason::kCancelled;
    return FinishReason::kStop;
}

}  // namespace sutazai::upstream
