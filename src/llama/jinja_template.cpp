#include <fmt/format.h>
#include <json.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "llama/chat_form.h"
#include "llama/chat_template.h"

// The patched engine lives beside llama.cpp's own under another name (cmake/jinja.cmake).
#define jinja sutazai_jinja                // NOLINT(cppcoreguidelines-macro-usage)
#define g_jinja_debug sutazai_jinja_debug  // NOLINT(cppcoreguidelines-macro-usage)
#include "patched/jinja/caps.h"
#include "patched/jinja/lexer.h"
#include "patched/jinja/limits.h"
#include "patched/jinja/parser.h"
#include "patched/jinja/runtime.h"

namespace sutazai::llama {
namespace {

// What a template may do for one conversation. Those of well-known models take some 200 steps a message and copy its
// text some 20 times.
constexpr std::size_t kSteps = 200'000;
constexpr std::size_t kStepsOfMessage = 4'000;
constexpr std::size_t kBytes = std::size_t{128} << 20;
constexpr std::size_t kBytesOfByte = 256;
constexpr std::size_t kDepth = 500;
// What its source may be: the parser and the tree that it makes go as deep as a statement is long.
constexpr std::size_t kMostSourceBytes = std::size_t{1} << 20;
constexpr std::size_t kMostTokensOfStatement = 4096;

jinja::value input(const std::string& text) {
    auto value = jinja::mk_val<jinja::value_string>(text);
    value->mark_input();
    return value;
}
jinja::value word(const std::string& text) {
    return jinja::mk_val<jinja::value_string>(text);
}

std::string joined(const std::vector<ContentPart>& parts) {
    std::string text;
    for (const ContentPart& part : parts) {
        if (&part != parts.data()) text += '\n';
        text += part.text;
    }
    return text;
}

std::size_t bytes_of(const Chat& chat) {
    std::size_t bytes = 0;
    for (const ChatMessage& message : chat.messages) {
        bytes += message.reasoning.size();
        for (const ContentPart& part : message.content) bytes += part.text.size();
        for (const ToolCall& call : message.tool_calls) bytes += call.arguments.size();
    }
    for (const Tool& tool : chat.tools) bytes += tool.description.size() + tool.parameters.size();
    return bytes;
}

/// The engine tells where in the template it was, over several lines; what went wrong is the last.
std::string reason_of(const std::exception& thrown) {
    const std::string what = thrown.what();
    constexpr std::string_view kMark = "\nError: ";
    const std::size_t at = what.rfind(kMark);
    return at == std::string::npos ? what : what.substr(at + kMark.size());
}

/// Templates that raise an error for what is no error here, as llama.cpp mends them: control tokens in a text of
/// gpt-oss (they are harmless), and a message of Mistral's without content.
std::string mended(std::string source) {
    constexpr std::string_view kWrong[] = {
        // NOLINT(modernize-avoid-c-arrays)
        "{%- if \"<|channel|>analysis<|message|>\" in message.content or "
        "\"<|channel|>final<|message|>\" in message.content %}",
        "{%- if (message['content'] is none or message['content'] == '' or message['content']|length == 0) and "
        "(message['tool_calls'] is not defined or message['tool_calls'] is none or "
        "message['tool_calls']|length == 0) %}"};
    for (const std::string_view wrong : kWrong) {
        for (std::size_t at = source.find(wrong); at != std::string::npos; at = source.find(wrong, at)) {
            source.replace(at, wrong.size(), "{%- if false %}");
        }
    }
    return source;
}

class JinjaTemplate : public ChatTemplate {
  public:
    /// Throws what the parser throws.
    JinjaTemplate(const std::string& source, std::string bos, std::string eos)
        : bos_(std::move(bos)), eos_(std::move(eos)) {
        jinja::limits limits(kSteps, kBytes, kDepth);
        const jinja::lexer_result tokens = jinja::lexer().tokenize(source);
        check_statements(tokens.tokens);
        program_ = jinja::parse_from_tokens(tokens);
        source_ = tokens.source;
        knows_developer_ =
            source.find("'developer'") != std::string::npos || source.find("\"developer\"") != std::string::npos;
        in_channels_ = source.find("<|channel|>") != std::string::npos;
        try {
            caps_ = jinja::caps_get(program_);
            forms_ = forms_of(source);
        } catch (const std::exception& thrown) {  // it works without end, as rendering will tell
            spdlog::debug("what a chat template can do is not known: {}", thrown.what());
        }
    }

    [[nodiscard]] Result<std::vector<TextRun>> render(const Chat& chat, const CancelCheck& cancelled) const override {
        jinja::limits limits(kSteps + kStepsOfMessage * (chat.messages.size() + chat.tools.size()),
                             kBytes + kBytesOfByte * bytes_of(chat), kDepth, cancelled);
        try {
            return chat.turn == Turn::kContinue ? continued(chat) : run(chat);
        } catch (const std::exception& thrown) {
            if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "the request was cancelled");
            spdlog::debug("a chat template failed: {}", thrown.what());
            return fail(ErrorCode::kInvalidArgument,
                        "the model's chat template does not take these messages: " + reason_of(thrown), "messages");
        }
    }

    [[nodiscard]] ChatForms* forms() const override { return forms_.get(); }

  private:
    /// llama-common renders the template some twenty times, without limits: only one that has kept to them.
    [[nodiscard]] std::unique_ptr<ChatForms> forms_of(const std::string& source) const {
        constexpr std::string_view kSigns[] = {"tool", "think", "reason", "channel",
                                               "function"};  // NOLINT(modernize-avoid-c-arrays)
        const bool may_do_more =
            std::ranges::any_of(kSigns, [&](std::string_view sign) { return source.find(sign) != std::string::npos; });
        return may_do_more ? std::make_unique<ChatForms>(source, bos_, eos_) : nullptr;
    }

    static void check_statements(const std::vector<jinja::token>& tokens) {
        std::size_t n = 0;
        for (const jinja::token& token : tokens) {
            const bool begins = token.t == jinja::token::open_statement || token.t == jinja::token::open_expression;
            n = begins ? 0 : n + 1;
            if (n > kMostTokensOfStatement) {
                throw std::runtime_error(
                    fmt::format("a statement at byte {} is longer than {} tokens", token.pos, kMostTokensOfStatement));
            }
        }
    }

    /// All of the last message but what the template puts behind it.
    [[nodiscard]] std::vector<TextRun> continued(const Chat& chat) const {
        const std::string mark = unused_word(chat);
        Chat marked = chat;
        ChatMessage& last = marked.messages.back();
        const bool speaks = last.reasoning.empty() || !joined(last.content).empty();
        if (speaks) {
            if (last.content.empty()) last.content.emplace_back();
            last.content.back().text += mark;
        } else {
            last.reasoning += mark;
        }
        std::string failure = "it shows nothing of the last message";
        try {
            std::vector<TextRun> runs = run(marked);
            while (!runs.empty()) {
                const std::size_t at = runs.back().text.rfind(mark);
                if (at != std::string::npos) {
                    runs.back().text.resize(at);
                    return tidy(std::move(runs));
                }
                runs.pop_back();
            }
        } catch (const std::exception& thrown) {
            failure = reason_of(thrown);
        }
        // The template refuses a conversation that ends so, or leaves the text out: the text behind a new answer's
        // head.
        if (!speaks || !chat.messages.back().reasoning.empty()) throw std::runtime_error(failure);
        Chat before = chat;
        before.messages.pop_back();
        before.turn = Turn::kNew;
        std::vector<TextRun> runs = run(before);
        runs.push_back({joined(chat.messages.back().content), true});
        return tidy(std::move(runs));
    }

    [[nodiscard]] std::vector<TextRun> run(const Chat& chat) const {
        jinja::context context(source_);
        context.set_val("messages", messages_value(chat));
        context.set_val("bos_token", word(bos_));
        context.set_val("eos_token", word(eos_));
        const bool thinks = chat.reasoning.wanted.value_or(true);
        context.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(thinks));
        if (!chat.reasoning.effort.empty()) jinja::caps_apply_reasoning_effort(context, chat.reasoning.effort);
        if (!chat.template_arguments.empty()) {
            jinja::global_from_json(context, common_json::parse(chat.template_arguments), true);
        }
        if (!chat.tools.empty()) set_tools(context, chat.tools);
        if (chat.turn == Turn::kNew) {
            context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
        }
        jinja::runtime runtime(context);
        const jinja::value results = runtime.execute(program_);
        std::vector<TextRun> runs;
        const jinja::value_string text = jinja::runtime::gather_string_parts(results);
        for (jinja::string_part& part : text->val_str.parts) {
            runs.push_back({std::move(part.val), part.is_input});
        }
        return tidy(std::move(runs));
    }

    /// As OpenAI's API has them. What they say is a client's, not the template's.
    static void set_tools(jinja::context& context, const std::vector<Tool>& tools) {
        common_json list = common_json::array();
        for (const Tool& tool : tools) {
            common_json function = common_json::object();
            function["name"] = tool.name;
            if (!tool.description.empty()) function["description"] = tool.description;
            function["parameters"] =
                tool.parameters.empty() ? common_json::object() : common_json::parse(tool.parameters);
            common_json entry = common_json::object();
            entry["type"] = "function";
            entry["function"] = function;
            list.push_back(entry);
        }
        common_json holder = common_json::object();
        holder["tools"] = list;
        jinja::global_from_json(context, holder, true);
    }

    /// Names for calls that were sent without any, as Ollama's clients do, and for what they gave, in the same order:
    /// some templates take no call without.
    class CallIds {
      public:
        static bool are_missing(const ChatMessage& message) {
            return (message.role == Role::kTool && message.tool_call_id.empty()) ||
                   std::ranges::any_of(message.tool_calls, &std::string::empty, &ToolCall::id);
        }
        ChatMessage filled_in(ChatMessage message) {
            for (ToolCall& call : message.tool_calls) {
                if (call.id.empty()) call.id = fmt::format("call{:05}", n_calls_++);
            }
            if (message.role == Role::kTool && message.tool_call_id.empty() && n_results_ < n_calls_) {
                message.tool_call_id = fmt::format("call{:05}", n_results_++);
            }
            return message;
        }

      private:
        int n_calls_ = 0, n_results_ = 0;
    };

    /// A system message that the template has no place for goes in front of the next user message.
    [[nodiscard]] jinja::value messages_value(const Chat& chat) const {
        auto list = jinja::mk_val<jinja::value_array>();
        std::string system;
        CallIds ids;
        for (const ChatMessage& given : chat.messages) {
            ChatMessage with_ids;
            const ChatMessage& message = ids.are_missing(given) ? with_ids = ids.filled_in(given) : given;
            Role role = message.role;
            if (role == Role::kDeveloper && !knows_developer_) role = Role::kSystem;
            if (role == Role::kSystem && !caps_.supports_system_role) {
                system += joined(message.content) + "\n\n";
                continue;
            }
            if (role == Role::kUser && !system.empty()) {
                ChatMessage with_system = message;
                if (with_system.content.empty()) with_system.content.emplace_back();
                with_system.content.front().text.insert(0, system);
                system.clear();
                list->push_back(message_value(with_system, role));
            } else {
                list->push_back(message_value(message, role));
            }
        }
        if (!system.empty()) list->push_back(message_value(text_message(Role::kUser, system), Role::kUser));
        return list;
    }

    [[nodiscard]] jinja::value message_value(const ChatMessage& message, Role role) const {
        auto out = jinja::mk_val<jinja::value_object>();
        out->insert("role", word(to_string(role)));
        // gpt-oss has one or the other in front of a call.
        const bool is_thought = in_channels_ && !message.reasoning.empty() && !message.tool_calls.empty();
        if (!is_thought) out->insert("content", content_value(message.content));
        if (!message.name.empty()) out->insert("name", input(message.name));
        if (!message.reasoning.empty()) {
            out->insert("reasoning_content", input(message.reasoning));
            if (in_channels_) out->insert("thinking", input(message.reasoning));
        }
        if (!message.tool_call_id.empty()) out->insert("tool_call_id", input(message.tool_call_id));
        if (message.tool_calls.empty()) return out;
        auto calls = jinja::mk_val<jinja::value_array>();
        for (const ToolCall& call : message.tool_calls) {
            auto function = jinja::mk_val<jinja::value_object>();
            function->insert("name", input(call.name));
            function->insert("arguments", arguments_value(call.arguments));
            auto entry = jinja::mk_val<jinja::value_object>();
            entry->insert("id", input(call.id));
            entry->insert("type", word("function"));
            entry->insert("function", function);
            calls->push_back(entry);
        }
        out->insert("tool_calls", calls);
        return out;
    }

    /// As the template likes it: text, or parts.
    [[nodiscard]] jinja::value content_value(const std::vector<ContentPart>& content) const {
        const bool as_parts = caps_.supports_typed_content && (!caps_.supports_string_content || content.size() > 1);
        if (!as_parts) return input(joined(content));
        auto parts = jinja::mk_val<jinja::value_array>();
        for (const ContentPart& part : content) {
            auto entry = jinja::mk_val<jinja::value_object>();
            entry->insert("type", word("text"));
            entry->insert("text", input(part.text));
            parts->push_back(entry);
        }
        return parts;
    }

    [[nodiscard]] jinja::value arguments_value(const std::string& arguments) const {
        if (!caps_.supports_object_arguments) return input(arguments);
        jinja::context context;
        common_json holder = common_json::object();
        try {
            holder["arguments"] = common_json::parse(arguments);
        } catch (const std::exception&) {
            return input(arguments);  // a call that was cut off
        }
        jinja::global_from_json(context, holder, true);
        return context.get_val("arguments");
    }

    jinja::program program_;
    std::string source_, bos_, eos_;
    jinja::caps caps_;
    std::unique_ptr<ChatForms> forms_;  ///< null: answers are plain text
    bool knows_developer_ = false;
    bool in_channels_ = false;  ///< gpt-oss's template
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> jinja_template(const std::string& source, const std::string& bos,
                                                     const std::string& eos) {
    if (source.size() > kMostSourceBytes) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("it has {} bytes; at most {} are read", source.size(), kMostSourceBytes));
    }
    try {
        return std::make_unique<JinjaTemplate>(mended(source), bos, eos);
    } catch (const std::exception& thrown) {
        return fail(ErrorCode::kInvalidArgument, thrown.what());
    }
}

}  // namespace sutazai::llama
