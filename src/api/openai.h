#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "base/error.h"
#include "base/generation.h"

/// The OpenAI-compatible API, /v1/...: its JSON to requests, its objects and chunks to bytes. Pure.
namespace sutazai::api::openai {

struct OpenAiChatRequest : ChatRequest {
    bool include_usage = false;  ///< stream_options.include_usage
};

/// The body of POST /v1/chat/completions. max_completion_tokens goes before max_tokens. What is not there yet (n other
/// than 1, tools, logprobs, logit_bias, response_format other than text, ...) is refused by name rather than ignored,
/// because ignoring it would give a wrong answer; other fields that are not known are ignored.
[[nodiscard]] Result<OpenAiChatRequest> parse_chat(std::string_view body);

/// What stays the same over one answer.
struct Identity {
    std::string id;  ///< "chatcmpl-..."
    std::string model;
    std::int64_t created_unix_s = 0;
};

/// Writes the Server-Sent Events of one stream, appended to `out`: start, content*, finish. A stream that fails ends
/// with error(), without [DONE]: [DONE] says that the answer is whole.
class ChunkEncoder {
  public:
    ChunkEncoder(const Identity& identity, bool include_usage);

    void start(std::string& out) const;  ///< delta with the role
    void content(std::string& out, std::string_view text) const;
    void finish(std::string& out, const Finished& finished) const;  ///< finish_reason, usage if asked for, [DONE]
    static void error(std::string& out, const Error& error);

  private:
    std::string head_;  // up to and with "choices": [
    std::string tail_;  // after the choices
    bool include_usage_;
};

/// chat.completion, the answer when `stream` is false.
[[nodiscard]] std::string encode_answer(const Identity& identity, std::string_view content, const Finished& finished);

/// {"error": {"message", "type", "param", "code"}}
[[nodiscard]] std::string encode_error(const Error& error);

struct ModelCard {
    std::string id;
    std::int64_t created_unix_s = 0;
};
[[nodiscard]] std::string encode_model(const ModelCard& card);
[[nodiscard]] std::string encode_models(std::span<const ModelCard> cards);

}  // namespace sutazai::api::openai
