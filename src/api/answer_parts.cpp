#include "api/answer_parts.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/json_text.h"

namespace sutazai::api {

namespace {

double ms_of(std::chrono::microseconds time) {
    return rounded(static_cast<double>(time.count()) / 1000, 3);
}

/// Milliseconds for one, and how many in a second.
void add_rates(boost::json::object& out, std::string_view what, double n, std::chrono::microseconds time) {
    const auto us = static_cast<double>(time.count());
    out[fmt::format("{}_n", what)] = static_cast<std::uint64_t>(n);
    out[fmt::format("{}_ms", what)] = ms_of(time);
    out[fmt::format("{}_per_token_ms", what)] = n > 0 ? rounded(us / 1000 / n, 3) : 0.0;
    out[fmt::format("{}_per_second", what)] = us > 0 ? rounded(n * 1e6 / us, 3) : 0.0;
}

}  // namespace

boost::json::object usage_json(const Usage& usage) {
    boost::json::object out{{"prompt_tokens", usage.prompt_tokens},
                            {"completion_tokens", usage.completion_tokens},
                            {"total_tokens", std::uint64_t{usage.prompt_tokens} + usage.completion_tokens},
                            {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
    if (usage.reasoning_tokens > 0) {
        out["completion_tokens_details"] = {{"reasoning_tokens", usage.reasoning_tokens}};
    }
    return out;
}

boost::json::object timings_json(const Finished& finished) {
    const Usage& usage = finished.usage;
    boost::json::object out{{"cache_n", usage.cached_tokens}};
    add_rates(out, "prompt", usage.prompt_tokens - std::min(usage.cached_tokens, usage.prompt_tokens),
              finished.timings.prefill);
    add_rates(out, "predicted", usage.completion_tokens, finished.timings.decode);
    return out;
}

boost::json::value or_null(std::string_view text) {
    if (text.empty()) return nullptr;
    return boost::json::string(text);
}

std::string timestamp(std::chrono::system_clock::time_point when) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(when);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(ms);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                       (ms - seconds).count());
}

}  // namespace sutazai::api
