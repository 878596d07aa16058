#pragma once

#include <chrono>
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
/// start, chunk*, complete; error may come in place of any.
class EventEncoder {
  public:
    explicit EventEncoder(std::string model) : model_(std::move(model)) {}

    void start(std::string& out, Clock::time_point now) const;
    void chunk(std::string& out, std::string_view content, bool is_final) const;
    void complete(std::string& out, Clock::time_point now, const Finished& finished) const;
    void error(std::string& out, const Error& error) const;

  private:
    std::string model_;
};

/// The answer when `stream` is false: {"model", "content", "finish_reason", "usage", "timestamp"}.
[[nodiscard]] std::string encode_answer(std::string_view model, std::string_view content, const Finished& finished,
                                        Clock::time_point now);

[[nodiscard]] std::string encode_error(const Error& error);

}  // namespace sutazai::api::streaming_v1
