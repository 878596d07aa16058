#pragma once

#include <boost/json/array.hpp>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "api/json.h"
#include "base/generation.h"

/// The fields of a chat that are about tools and thinking, which every API family shares. Pure.
namespace sutazai::api {

inline constexpr std::size_t kMaxTools = 512;
inline constexpr std::size_t kMaxToolNameBytes = 128;
inline constexpr std::size_t kMaxToolsBytes = std::size_t{256} << 10;  ///< names, descriptions and schemas of all
inline constexpr std::size_t kMaxTemplateArgumentBytes = std::size_t{16} << 10;

/// `name` of a tool, which must be there.
void read_tool_name(FieldReader& fields, std::string& out);

/// `tools` alone, each of which `read` reads; no two have one name, which an entry has under `name_of_name`.
void read_tool_list(FieldReader& fields, const std::function<Tool(FieldReader& entry)>& read,
                    std::string_view name_of_name, Chat& out);

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`. A choice of what is not there is refused.
void read_tools(FieldReader& fields, Chat& out);

/// `name`, `description`, `strict` and `parameters` of one tool.
void read_function(FieldReader& fields, Tool& out);

/// How hard to think, of the field `name`; "none" asks for no thoughts.
void read_effort(FieldReader& fields, std::string_view name, Reasoning& out);

/// Reads `reasoning_effort` ("none" asks for no thoughts), `chat_template_kwargs` (of which `enable_thinking` and
/// `reasoning_effort` count here, too), `reasoning_budget_tokens`, or `thinking_budget_tokens` as it was called, and
/// `reasoning_format` ("none" leaves thoughts in the answer). Names are those of llama-server and vLLM.
void read_reasoning(FieldReader& fields, Chat& out);

/// Reads `tool_calls` of an assistant's message: arguments are an object, or JSON of one as text.
void read_tool_calls(FieldReader& message, ChatMessage& out);

/// [{"id","type","function":{"name","arguments"}}] of a whole message, arguments as text, as in OpenAI's API.
[[nodiscard]] boost::json::array tool_calls_json(const Delta& answer);

}  // namespace sutazai::api
