#include "upstream/tool_words.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <utility>

#include "upstream/refuse.h"

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

json::array tools_json(const std::vector<Tool>& tools) {
    json::array out;
    for (const Tool& tool : tools) {
        json::object function{{"name", tool.name}};
        if (!tool.description.empty()) function["description"] = tool.description;
        // It was a document when it came.
        if (!tool.parameters.empty()) function["parameters"] = json::parse(tool.parameters);
        if (tool.strict) function["strict"] = true;
        out.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
    return out;
}

void add_choice(json::object& out, const Chat& chat) {
    if (chat.tool_choice == ToolChoice::kNone) out["tool_choice"] = "none";
    if (chat.tool_choice == ToolChoice::kRequired) {
        out["tool_choice"] = chat.named_tool.empty()
                                 ? json::value("required")
                                 : json::value{{"type", "function"}, {"function", {{"name", chat.named_tool}}}};
    }
    if (!chat.parallel_tool_calls) out["parallel_tool_calls"] = false;
}

/// Fields of a SutazAI, whatever the family.
void add_more_reasoning(json::object& out, const Chat& chat) {
    const Reasoning& reasoning = chat.reasoning;
    if (reasoning.budget_tokens >= 0) out["reasoning_budget_tokens"] = reasoning.budget_tokens;
    if (!reasoning.apart) out["reasoning_format"] = "none";
    if (!chat.template_arguments.empty()) out["chat_template_kwargs"] = json::parse(chat.template_arguments);
}

Result<void> refuse_more_reasoning(const Chat& chat, std::string_view server) {
    if (chat.reasoning.budget_tokens >= 0) return cannot_say("reasoning_budget_tokens", server);
    if (!chat.reasoning.apart) return cannot_say("reasoning_format", server);
    if (!chat.template_arguments.empty()) return cannot_say("chat_template_kwargs", server);
    return {};
}

}  // namespace

Result<void> add_openai_tools(json::object& out, const Chat& chat, bool extended, std::string_view server) {
    if (!chat.tools.empty()) {
        out["tools"] = tools_json(chat.tools);
        add_choice(out, chat);
    }
    const Reasoning& reasoning = chat.reasoning;
    if (reasoning.wanted == false) {
        out["reasoning_effort"] = "none";
    } else if (!reasoning.effort.empty()) {
        out["reasoning_effort"] = reasoning.effort;
    }
    if (!extended) {
        if (reasoning.wanted == true && reasoning.effort.empty()) return cannot_say("think", server);
        return refuse_more_reasoning(chat, server);
    }
    add_more_reasoning(out, chat);
    if (reasoning.wanted == true && reasoning.effort.empty()) {
        json::value& more = out["chat_template_kwargs"];
        if (!more.is_object()) more = json::object();
        more.get_object()["enable_thinking"] = true;
    }
    return {};
}

Result<void> add_ollama_tools(json::object& out, const Chat& chat, bool extended, std::string_view server) {
    // Without a word for it, tools that are not to be called are not told of.
    const bool tells = !chat.tools.empty() && (extended || chat.tool_choice != ToolChoice::kNone);
    if (tells) out["tools"] = tools_json(chat.tools);
    if (tells && extended) add_choice(out, chat);
    if (tells && !extended && chat.tool_choice == ToolChoice::kRequired) return cannot_say("tool_choice", server);
    if (tells && !extended && !chat.parallel_tool_calls) return cannot_say("parallel_tool_calls", server);
    const Reasoning& reasoning = chat.reasoning;
    if (reasoning.wanted == false) {
        out["think"] = false;
    } else if (!reasoning.effort.empty()) {
        out["think"] = reasoning.effort;
    } else if (reasoning.wanted == true) {
        out["think"] = true;
    }
    if (!extended) return refuse_more_reasoning(chat, server);
    add_more_reasoning(out, chat);
    return {};
}

}  // namespace sutazai::upstream
