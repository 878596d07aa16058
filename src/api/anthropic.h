#pragma once

#include <string>
#include <string_view>

#include "api/chat_fields.h"
#include "base/error.h"
#include "base/generation.h"

/// Anthropic's Messages API, /v1/messages: its JSON to requests. What comes back is in anthropic_events.h. Pure.
namespace sutazai::api::anthropic {

struct MessagesRequest : ChatRequest {
    bool marks_cache = false;     ///< cache_control stands somewhere
    bool hides_thoughts = false;  ///< thinking.display is "omitted"
    bool writes_nothing = false;  ///< max_tokens is 0: the prompt is computed, and kept, and nothing is told
};

/// The body of POST /v1/messages. Fields that are not supported are refused by name.
[[nodiscard]] Result<MessagesRequest> parse_messages(std::string_view body);

/// The body of POST /v1/messages/count_tokens, which is the same without max_tokens: a request of Task::kRead.
[[nodiscard]] Result<MessagesRequest> parse_count(std::string_view body);

}  // namespace sutazai::api::anthropic
