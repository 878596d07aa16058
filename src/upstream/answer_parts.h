#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/generation.h"

/// Parts of other servers' answers. What is missing or of another kind than it should be counts as not said. Pure.
namespace sutazai::upstream {

/// Null when there is none, or none of the kind.
[[nodiscard]] const boost::json::object* object_in(const boost::json::object& from, std::string_view name);
[[nodiscard]] const boost::json::array* array_in(const boost::json::object& from, std::string_view name);
[[nodiscard]] std::string_view text_in(const boost::json::object& from, std::string_view name);
/// A whole number from 0 on, at most what fits.
[[nodiscard]] std::uint64_t count_in(const boost::json::object& from, std::string_view name);
[[nodiscard]] std::uint32_t small_count_in(const boost::json::object& from, std::string_view name);

/// [{"token", "logprob", "bytes", "top_logprobs"}...] of OpenAI's chats and Ollama.
void add_chat_scores(const boost::json::array& list, std::vector<TokenScore>& out);
/// {"tokens", "token_logprobs", "top_logprobs"} of OpenAI's completions.
void add_text_scores(const boost::json::object& lists, std::vector<TokenScore>& out);

/// {"prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"}
[[nodiscard]] Usage usage_of(const boost::json::object& usage);

/// One that is not known says at least that the answer has ended.
[[nodiscard]] FinishReason finish_reason_of(std::string_view name);

}  // namespace sutazai::upstream
