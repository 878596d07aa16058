#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "api/choice.h"
#include "base/error.h"
#include "base/generation.h"

/// The OpenAI-compatible API, /v1/...: its JSON to requests, its objects and chunks to bytes. Pure.
namespace sutazai::api::openai {

struct OpenAiChatRequest : ChatRequest {
    bool include_usage = false;  ///< stream_options.include_usage
    int n = 1;                   ///< choices
};

/// The body of POST /v1/chat/completions. max_completion_tokens goes before max_tokens. Fields that are not
/// supported are refused by name (unsupported.h).
[[nodiscard]] Result<OpenAiChatRequest> parse_chat(std::string_view body);

/// stream_options of every OpenAI route that streams.
void read_stream_options(FieldReader& fields, bool& include_usage);

/// What stays the same over one answer.
struct Identity {
    std::string id;  ///< "chatcmpl-...", "cmpl-..."
    std::string model;
    std::int64_t created_unix_s = 0;
};

/// {"id","object","created","model"}: what every answer begins with.
[[nodiscard]] boost::json::object head_json(const Identity& identity, std::string_view object);

/// data: {"id","object","created","model","choices":[ : a chunk up to its first choice.
[[nodiscard]] std::string chunk_head(const Identity& identity, std::string_view object);

/// {"error": {...}} of a stream: the last event of one that fails.
void append_error_event(std::string& out, const Error& error);

/// Writes the Server-Sent Events of one stream, appended to `out`: for each choice start, content*, finish; then end. A
/// stream that fails ends with append_error_event(), without [DONE]: [DONE] says that the answer is whole.
class ChunkEncoder {
  public:
    ChunkEncoder(const Identity& identity, bool include_usage, bool logprobs);

    void start(std::string& out, std::size_t index) const;  ///< delta with the role
    void content(std::string& out, std::size_t index, const Delta& delta, std::span<const TokenScore> scores) const;
    void finish(std::string& out, std::size_t index, FinishReason reason) const;
    /// Usage if asked for, with `timings` (an object; null: none) beside it, as llama-server has it; [DONE].
    void end(std::string& out, const Usage& usage, const boost::json::value& timings = nullptr) const;

  private:
    std::string head_;  // up to and with "choices": [
    std::string tail_;  // after the choices
    bool include_usage_;
    bool logprobs_;
};

/// chat.completion, the answer when `stream` is false. All choices answer one prompt.
[[nodiscard]] std::string encode_answer(const Identity& identity, std::span<const Choice> choices, bool logprobs);

/// {"error": {"message", "type", "param", "code"}}
[[nodiscard]] std::string encode_error(const Error& error);

struct ModelCard {
    std::string id;
    std::int64_t created_unix_s = 0;
};
[[nodiscard]] std::string encode_model(const ModelCard& card);
[[nodiscard]] std::string encode_models(std::span<const ModelCard> cards);

}  // namespace sutazai::api::openai
