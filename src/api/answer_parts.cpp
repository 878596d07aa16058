#include "api/answer_parts.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdint>

namespace sutazai::api {

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
