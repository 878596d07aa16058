#include "api/tool_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "api/response_format.h"
#include "api/unsupported.h"

namespace sutazai::api {

namespace json = boost::json;

namespace {

bool is_tool_name(std::string_view name) {
    const auto may_be = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_-.:/").contains(c);
    };
    return !name.empty() && name.size() <= kMaxToolNameBytes && std::ranges::all_of(name, may_be);
}

/// The object `name`, to be read; null, with an error where it is something else.
const json::object* object_of(FieldReader& fields, std::string_view name, bool must_be) {
    const json::value* value = fields.find(name);
    if (value == nullptr) {
        if (must_be) fields.refuse(name, "is missing");
        return nullptr;
    }
    if (value->is_object()) return &value->get_object();
    fields.refuse(name, fmt::format("must be an object (got {})", kind_of(*value)));
    return nullptr;
}

Tool read_tool(FieldReader& entry) {
    Tool tool;
    std::string type = "function";
    entry.string("type", type);
    if (type != "function") entry.refuse("type", "must be \"function\"");
    const json::object* function = object_of(entry, "function", true);
    if (function == nullptr) return tool;
    FieldReader fields(*function, entry.error(), entry.path_of("function."));
    read_function(fields, tool);
    refuse_unknown(fields);
    refuse_unknown(entry, {"cache_control", "strict"});
    return tool;
}

void read_choice(FieldReader& fields, Chat& out) {
    const json::value* value = fields.find("tool_choice");
    if (value == nullptr) return;
    constexpr std::pair<std::string_view, ToolChoice> kChoices[] = {// NOLINT(modernize-avoid-c-arrays)
                                                                    {"auto", ToolChoice::kAuto},
                                                                    {"none", ToolChoice::kNone},
                                                                    {"required", ToolChoice::kRequired}};
    if (const auto* word = value->if_string()) {
        for (const auto& [name, choice] : kChoices) {
            if (std::string_view(*word) != name) continue;
            out.tool_choice = choice;
            if (choice == ToolChoice::kRequired && out.tools.empty()) fields.refuse("tool_choice", "needs tools");
            return;
        }
    }
    constexpr const char* kMust =
        R"(must be "auto", "none", "required" or {"type": "function", "function": {"name": ...}})";
    if (!value->is_object()) return fields.refuse("tool_choice", kMust);
    FieldReader choice(value->get_object(), fields.error(), fields.path_of("tool_choice."));
    std::string type;
    choice.string("type", type);
    if (type != "function") return fields.refuse("tool_choice", kMust);
    const json::object* function = object_of(choice, "function", true);
    if (function == nullptr) return;
    FieldReader named(*function, fields.error(), choice.path_of("function."));
    named.string("name", out.named_tool);
    const bool is_there = std::ranges::find(out.tools, out.named_tool, &Tool::name) != out.tools.end();
    if (!is_there) named.refuse("name", "must be one of the tools'");
    refuse_unknown(named);
    refuse_unknown(choice);
    out.tool_choice = ToolChoice::kRequired;
}

/// Names that the template knows; those that the server gives are not a client's to give.
void read_template_arguments(FieldReader& fields, Chat& out) {
    const json::object* given = object_of(fields, "chat_template_kwargs", false);
    if (given == nullptr) return;
    FieldReader named(*given, fields.error(), fields.path_of("chat_template_kwargs."));
    if (named.find("enable_thinking") != nullptr) {
        bool wanted = true;
        named.boolean("enable_thinking", wanted);
        out.reasoning.wanted = wanted;
    }
    read_effort(named, "reasoning_effort", out.reasoning);
    json::object rest;
    for (const auto& [name, value] : *given) {
        const std::string_view key = name;
        if (key == "enable_thinking" || key == "reasoning_effort") continue;
        for (const char* own : {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"}) {
            if (key == own) return named.refuse(own, "is not for a client to say");
        }
        rest[name] = value;
    }
    if (rest.empty()) return;
    out.template_arguments = json::serialize(rest);
    if (out.template_arguments.size() > kMaxTemplateArgumentBytes) {
        fields.refuse("chat_template_kwargs", fmt::format("has {} bytes; at most {} are allowed",
                                                          out.template_arguments.size(), kMaxTemplateArgumentBytes));
    }
}

}  // namespace

void read_tool_name(FieldReader& fields, std::string& out) {
    fields.string("name", out);
    if (is_tool_name(out)) return;
    fields.refuse("name", out.empty()
                              ? "is missing"
                              : fmt::format("must be 1 to {} letters, digits and any of _-.:/", kMaxToolNameBytes));
}

void read_effort(FieldReader& fields, std::string_view name, Reasoning& out) {
    constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    std::string effort;
    fields.string(name, effort);
    if (effort.empty()) return;
    if (std::ranges::find(kEfforts, effort) == kEfforts.end()) {
        return fields.refuse(name, "must be none, minimal, low, medium, high, xhigh or max");
    }
    if (effort == "none") {
        out.wanted = false;
    } else {
        out.effort = std::move(effort);
    }
}

void read_function(FieldReader& fields, Tool& out) {
    read_tool_name(fields, out.name);
    fields.string("description", out.description);
    fields.boolean("strict", out.strict);
    if (const json::value* parameters = fields.find("parameters")) {
        read_schema_text(fields, "parameters", *parameters, out.parameters);
    }
}

void read_tool_list(FieldReader& fields, const std::function<Tool(FieldReader& entry)>& read,
                    std::string_view name_of_name, Chat& out) {
    const json::value* value = fields.find("tools");
    if (value == nullptr) return;
    if (!value->is_array()) {
        return fields.refuse("tools", fmt::format("must be an array (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.size() > kMaxTools) {
        return fields.refuse("tools", fmt::format("must hold at most {} tools (got {})", kMaxTools, list.size()));
    }
    std::size_t bytes = 0;
    for (const json::value& entry : list) {
        const std::string name = fmt::format("tools[{}]", out.tools.size());
        if (!entry.is_object()) {
            return fields.refuse(name, fmt::format("must be an object (got {})", kind_of(entry)));
        }
        FieldReader reader(entry.get_object(), fields.error(), fields.path_of(name) + ".");
        Tool tool = read(reader);
        if (fields.failed()) return;
        if (std::ranges::find(out.tools, tool.name, &Tool::name) != out.tools.end()) {
            return reader.refuse(name_of_name, "is another tool's, too");
        }
        bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
        out.tools.push_back(std::move(tool));
    }
    if (bytes > kMaxToolsBytes) {
        fields.refuse("tools", fmt::format("have {} bytes; at most {} are allowed", bytes, kMaxToolsBytes));
    }
}

void read_tools(FieldReader& fields, Chat& out) {
    read_tool_list(fields, read_tool, "function.name", out);
    read_choice(fields, out);
    fields.boolean("parallel_tool_calls", out.parallel_tool_calls);
}

void read_reasoning(FieldReader& fields, Chat& out) {
    Reasoning& reasoning = out.reasoning;
    read_template_arguments(fields, out);
    read_effort(fields, "reasoning_effort", reasoning);
    for (const char* name : {"thinking_budget_tokens", "reasoning_budget_tokens"}) {
        fields.integer(name, -1, std::numeric_limits<int>::max(), reasoning.budget_tokens);
    }
    std::string format;
    fields.string("reasoning_format", format);
    if (format.empty()) return;
    constexpr std::array<std::string_view, 4> kFormats = {"auto", "none", "deepseek", "deepseek-legacy"};
    if (std::ranges::find(kFormats, format) == kFormats.end()) {
        return fields.refuse("reasoning_format", "must be auto, none or deepseek");
    }
    reasoning.apart = format != "none";
}

void read_tool_calls(FieldReader& message, ChatMessage& out) {
    const json::value* value = message.find("tool_calls");
    if (value == nullptr) return;
    if (!value->is_array()) {
        return message.refuse("tool_calls", fmt::format("must be an array (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.empty()) return;
    if (out.role != Role::kAssistant) return message.refuse("tool_calls", "goes with the assistant's messages only");
    if (list.size() > kMaxTools) {
        return message.refuse("tool_calls", fmt::format("must hold at most {} calls (got {})", kMaxTools, list.size()));
    }
    for (const json::value& entry : list) {
        const std::string name = fmt::format("tool_calls[{}]", out.tool_calls.size());
        if (!entry.is_object()) {
            return message.refuse(name, fmt::format("must be an object (got {})", kind_of(entry)));
        }
        FieldReader call(entry.get_object(), message.error(), message.path_of(name) + ".");
        ToolCall made;
        call.string("id", made.id);
        const json::object* function = object_of(call, "function", true);
        if (function == nullptr) return;
        FieldReader fields(*function, message.error(), call.path_of("function."));
        read_tool_name(fields, made.name);
        const json::value* arguments = fields.find("arguments");
        if (arguments == nullptr) {
            made.arguments = "{}";
        } else if (const auto* text = arguments->if_string()) {
            made.arguments = text->empty() ? "{}" : std::string(std::string_view(*text));
        } else if (arguments->is_object()) {
            made.arguments = json::serialize(*arguments);
        } else {
            return fields.refuse("arguments", fmt::format("must be an object, or JSON of one as a string (got {})",
                                                          kind_of(*arguments)));
        }
        refuse_unknown(fields, {"index"});
        refuse_unknown(call, {"index", "type"});
        if (message.failed()) return;
        out.tool_calls.push_back(std::move(made));
    }
}

json::array tool_calls_json(const Delta& answer) {
    json::array calls;
    for (const ToolCallDelta& call : answer.tool_calls) {
        json::object function{{"name", call.name}, {"arguments", call.arguments}};
        json::object entry{{"id", call.id}, {"type", "function"}};
        entry["function"] = std::move(function);
        calls.push_back(std::move(entry));
    }
    return calls;
}

}  // namespace sutazai::api
