#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/generation.h"

/// Writing answers: JSON text appended to a string that its owner reuses, without a document tree, because chunk
/// encoders run once for each token of each stream. Pure.
namespace sutazai::api {

/// `text` escaped for the inside of a JSON string, without quotes. What is not UTF-8 becomes U+FFFD.
void append_escaped(std::string& out, std::string_view text);

/// The same with quotes around it.
void append_quoted(std::string& out, std::string_view text);

void append_number(std::string& out, std::uint64_t number);

/// {"prompt_tokens","completion_tokens","total_tokens","prompt_tokens_details":{"cached_tokens"}}, as in OpenAI's API.
void append_usage(std::string& out, const Usage& usage);

/// UTC in ISO 8601 with milliseconds: 2025-01-26T14:30:52.123Z, without quotes.
void append_timestamp(std::string& out, std::chrono::system_clock::time_point when);

}  // namespace sutazai::api
