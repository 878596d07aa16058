#pragma once

#include <boost/json/object.hpp>
#include <string_view>

#include "base/error.h"
#include "base/generation.h"

/// What a chat says of tools and of thinking, in the words of other servers. Pure.
namespace sutazai::upstream {

/// OpenAI's `tools`, `tool_choice`, `parallel_tool_calls` and `reasoning_effort`; `extended`: with what a SutazAI has
/// beside them. Refuses by name what `server` has no word for.
[[nodiscard]] Result<void> add_openai_tools(boost::json::object& out, const Chat& chat, bool extended,
                                            std::string_view server);

/// Ollama's `tools` and `think`; the same.
[[nodiscard]] Result<void> add_ollama_tools(boost::json::object& out, const Chat& chat, bool extended,
                                            std::string_view server);

}  // namespace sutazai::upstream
