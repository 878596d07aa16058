#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "api/json.h"
#include "base/generation.h"

/// Messages, the system's text and tools in Anthropic's words. Pure.
namespace sutazai::api::anthropic {

inline constexpr std::size_t kMostCacheMarks = 4;

/// How many times cache_control stands in a request. What it comes to here is in docs/decisions/0039-messages-api.md.
struct CacheMarks {
    std::size_t n = 0;
};

/// `cache_control` of the object: {"type": "ephemeral", "ttl": "5m" or "1h"}. More than kMostCacheMarks are refused.
void read_cache_control(FieldReader& fields, CacheMarks& marks);

/// `system` and `messages`. Those of one role that follow each other are one; what tools gave becomes a message for
/// each result. A last message of the assistant is to be continued.
void read_conversation(FieldReader& fields, Chat& out, CacheMarks& marks);

/// `tools` and `tool_choice`.
void read_anthropic_tools(FieldReader& fields, Chat& out, CacheMarks& marks);

/// The signature of a thinking block. Nothing is signed: clients keep no thoughts without one. Where the thoughts are
/// `hidden` from the client it holds them, so that they come back with it.
[[nodiscard]] std::string signature_of(std::string_view thoughts, bool hidden);

/// The thoughts that a signature holds; empty: none.
[[nodiscard]] std::string thoughts_in(std::string_view signature);

}  // namespace sutazai::api::anthropic
