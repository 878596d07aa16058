#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "base/generation.h"

/// What answers of several routes hold. Pure.
namespace sutazai::api {

/// {"prompt_tokens","completion_tokens","total_tokens","prompt_tokens_details":{"cached_tokens"}}, as in OpenAI's API;
/// with "completion_tokens_details":{"reasoning_tokens"} where there are any.
[[nodiscard]] boost::json::object usage_json(const Usage& usage);

/// llama-server's timings of one answer: {"cache_n", "prompt_n", "prompt_ms", …, "predicted_n", "predicted_ms", …}
[[nodiscard]] boost::json::object timings_json(const Finished& finished);

/// null when `text` is empty.
[[nodiscard]] boost::json::value or_null(std::string_view text);

/// UTC in ISO 8601 with milliseconds: 2025-01-26T14:30:52.123Z.
[[nodiscard]] std::string timestamp(std::chrono::system_clock::time_point when);

}  // namespace sutazai::api
