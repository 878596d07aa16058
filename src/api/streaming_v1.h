#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "base/error.h"
#include "base/generation.h"

/// SutazAI's own API, /api/v1/streaming/...: its JSON to requests and its events to bytes. Pure.
///
/// Errors of this family, as a body:   {"error": {"message", "type", "field", "code"}}; `field` is null when no field
/// is at fault. In a stream: data: {"type": "error", "error": <message>, "code": <code>}.
namespace sutazai::api::streaming_v1 {

using Clock = std::chrono::system_clock;

/// The body of POST chat/stream. `stream` is true unless the body says otherwise.
[[nodiscard]] Result<ChatRequest> parse_chat(std::string_view body);

/// Writes the Server-Sent Events of one stream, each with the blank line that ends it, appended to `out`:
/// start, then reasoning, chunk and tool_calls as they come, complete; error may come in place of any.
class EventEncoder {
  public:
    explicit EventEncoder(std::string model) : model_(std::move(model)) {}

    void start(std::string& out, Clock::time_point now) const;
    void chunk(std::string& out, std::string_view content, bool is_final) const;
    /// {"type": "reasoning", "content"}: what it thought.
    void reasoning(std::string& out, std::string_view content) const;
    /// {"type": "tool_calls", "tool_calls": [{"index", "id", "name", "arguments"}]}: more of them. `id` and `name` come
    /// once, with the first of a call; `arguments` are more of its JSON.
    void tool_calls(std::string& out, std::span<const ToolCallDelta> calls) const;
    void complete(std::string& out, Clock::time_point now, const Finished& finished) const;
    void error(std::string& out, const Error& error) const;

  private:
    std::string model_;
};

/// The answer when `stream` is false: {"model", "content", "finish_reason", "usage", "timestamp"}, with "reasoning" and
/// "tool_calls" (as in OpenAI's API) where there are any.
[[nodiscard]] std::string encode_answer(std::string_view model, const Delta& answer, const Finished& finished,
                                        Clock::time_point now);

[[nodiscard]] std::string encode_error(const Error& error);

}  // namespace sutazai::api::streaming_v1
