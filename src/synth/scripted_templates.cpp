#include <string>
#include <string_view>

#include "synth/scripted.h"

namespace sutazai::synth {
namespace {

/// Qwen's and Hermes's way: JSON between tags. A message of the assistant, and an answer, may begin with thoughts.
constexpr std::string_view kChatMlBegin = R"({%- if tools -%}
<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}

{% endif %}These functions may be called:
<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools>
A call is an object with "name" and "arguments" between <tool_call> and </tool_call>.<|im_end|>
{% elif messages[0].role == 'system' -%}
<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role == 'user' or (message.role == 'system' and not loop.first) -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% elif message.role == 'assistant' -%}
<|im_start|>assistant
)";
constexpr std::string_view kThoughts = R"({% if message.reasoning_content -%}
<think>
{{ message.reasoning_content }}
</think>

{% endif -%}
)";
constexpr std::string_view kChatMlAnswer = R"({{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% elif message.role == 'tool' -%}
<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
)";
/// The end, where an answer may be told to have none.
constexpr std::string_view kNoThoughts = R"({% if enable_thinking is defined and not enable_thinking -%}
<think>

</think>

{% endif -%}
{%- endif -%})";

std::string chat_ml(bool thinks) {
    std::string out(kChatMlBegin);
    if (thinks) out += kThoughts;
    out += kChatMlAnswer;
    out += thinks ? kNoThoughts : std::string_view("{% endif -%}");
    return out;
}

/// A call is an object and nothing else.
constexpr std::string_view kLlama3 = R"({{- bos_token -}}
{%- if messages[0].role == 'system' -%}
{%- set system = messages[0].content -%}
{%- set messages = messages[1:] -%}
{%- else -%}
{%- set system = '' -%}
{%- endif -%}
{{- '<|start_header_id|>system<|end_header_id|>\n\n' -}}
{%- if tools -%}
{{- 'Environment: ipython\n' -}}
{{- 'These functions may be called, by an object {"name": name, "parameters": arguments}:\n\n' -}}
{%- for tool in tools -%}
{{- tool | tojson -}}
{{- '\n\n' -}}
{%- endfor -%}
{%- endif -%}
{{- system + '<|eot_id|>' -}}
{%- for message in messages -%}
{%- if message.role == 'tool' or message.role == 'ipython' -%}
{{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + message.content + '<|eot_id|>' -}}
{%- elif message.tool_calls -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- set call = message.tool_calls[0].function -%}
{{- '{"name": "' + call.name + '", "parameters": ' -}}
{{- call.arguments | tojson -}}
{{- '}<|eot_id|>' -}}
{%- else -%}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content + '<|eot_id|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%})";

/// A list of objects behind a mark, each call with an id of nine letters and digits.
constexpr std::string_view kMistral = R"({%- if messages[0].role == 'system' -%}
{%- set system = messages[0].content -%}
{%- set messages = messages[1:] -%}
{%- else -%}
{%- set system = '' -%}
{%- endif -%}
{{- bos_token -}}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- if tools and loop.last -%}
{{- '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' -}}
{%- endif -%}
{%- if system and loop.last -%}
{{- '[INST] ' + system + '\n\n' + message.content + '[/INST]' -}}
{%- else -%}
{{- '[INST] ' + message.content + '[/INST]' -}}
{%- endif -%}
{%- elif message.tool_calls -%}
{{- '[TOOL_CALLS] [' -}}
{%- for call in message.tool_calls -%}
{{- '{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) -}}
{%- if not call.id or call.id | length != 9 -%}
{{- raise_exception('a tool call has an id of 9 letters and digits') -}}
{%- endif -%}
{{- ', "id": "' + call.id + '"}' -}}
{%- if not loop.last -%}{{- ', ' -}}{%- endif -%}
{%- endfor -%}
{{- ']' + eos_token -}}
{%- elif message.role == 'assistant' -%}
{{- ' ' + message.content + eos_token -}}
{%- elif message.role == 'tool' -%}
{{- '[TOOL_RESULTS] {"content": ' + (message.content | tojson) + ', "call_id": "' + (message.tool_call_id or 'aaaaaaaaa') + '"}[/TOOL_RESULTS]' -}}
{%- endif -%}
{%- endfor -%})";

/// Channels: thoughts, calls and the answer are messages of their own.
constexpr std::string_view kGptOss =
    R"({{- '<|start|>system<|message|>Reasoning: ' + (reasoning_effort or 'medium') + '<|end|>' -}}
{%- if tools -%}
{{- '<|start|>developer<|message|># Tools\n\nnamespace functions {\n' -}}
{%- for tool in tools -%}
{{- '// ' + (tool.function.description or '') + '\ntype ' + tool.function.name + ' = (_: ' + (tool.function.parameters | tojson) + ') => any;\n' -}}
{%- endfor -%}
{{- '}<|end|>' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{%- if message.thinking and message.tool_calls -%}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' -}}
{%- endif -%}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{{- '<|start|>assistant to=functions.' + call.function.name + '<|channel|>commentary json<|message|>' + (call.function.arguments | tojson) + '<|call|>' -}}
{%- endfor -%}
{%- else -%}
{{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' -}}
{%- endif -%}
{%- elif message.role == 'tool' -%}
{{- '<|start|>functions.' + (message.name or 'tool') + ' to=assistant<|channel|>commentary<|message|>' + (message.content | tojson) + '<|end|>' -}}
{%- else -%}
{{- '<|start|>' + ('developer' if message.role == 'system' else message.role) + '<|message|>' + message.content + '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%})";

}  // namespace

const std::vector<std::string_view>& scripted_dialects() {
    static const std::vector<std::string_view> names{"chatml", "think", "llama3", "mistral", "gpt-oss"};
    return names;
}

std::string scripted_template(std::string_view dialect) {
    if (dialect == "chatml") return chat_ml(false);
    if (dialect == "think") return chat_ml(true);
    if (dialect == "llama3") return std::string(kLlama3);
    if (dialect == "mistral") return std::string(kMistral);
    if (dialect == "gpt-oss") return std::string(kGptOss);
    return {};
}

}  // namespace sutazai::synth
