#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/generation.h"

/// Scores of tokens in OpenAI's two shapes. A log-probability that is not finite becomes -9999, as in OpenAI's API.
/// Pure.
namespace sutazai::api {

/// Of chat: {"content":[{"token","logprob","bytes","top_logprobs":[{"token","logprob","bytes"}]}],"refusal":null}.
[[nodiscard]] boost::json::object chat_logprobs(std::span<const TokenScore> scores);

/// Of completions: {"tokens","token_logprobs","top_logprobs","text_offset"}. An offset counts characters; `offset` is
/// the first token's, and afterwards that of the token that comes next. top_logprobs always names the token itself too.
[[nodiscard]] boost::json::object completion_logprobs(std::span<const TokenScore> scores, std::size_t& offset);

[[nodiscard]] bool is_utf8(std::string_view bytes);

/// A token's bytes as text; where they are no UTF-8, "bytes:\xe2\x82".
[[nodiscard]] std::string token_name(std::string_view piece);

}  // namespace sutazai::api
