#include <fmt/format.h>
#include <json.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

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
        try {
            caps_ = jinja::caps_get(program_);
        } catch (const std::exception& thrown) {  // it works without end, as rendering will tell
            spdlog::debug("what a chat template can do is not known: {}", thrown.what());
        }
    }

    [[nodiscard]] Result<std::vector<TextRun>> render(const Chat& chat, const CancelCheck& cancelled) const override {
        jinja::limits limits(kSteps + kStepsOfMessage * chat.messages.size(), kBytes + kBytesOfByte * bytes_of(chat),
                             kDepth, cancelled);
        try {
            return chat.turn == Turn::kContinue ? continued(chat) : run(chat);
        } catch (const std::exception& thrown) {
            if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "the request was cancelled");
            spdlog::debug("a chat template failed: {}", thrown.what());
            return fail(ErrorCode::kInvalidArgument,
                        "the model's chat template does not take these messages: " + reason_of(thrown), "messages");
        }
    }

  private:
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
        context.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(true));
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

    /// A system message that the template has no place for goes in front of the next user message.
    [[nodiscard]] jinja::value messages_value(const Chat& chat) const {
        auto list = jinja::mk_val<jinja::value_array>();
        std::string system;
        for (const ChatMessage& message : chat.messages) {
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
        out->insert("content", content_value(message.content));
        if (!message.name.empty()) out->insert("name", input(message.name));
        if (!message.reasoning.empty()) out->insert("reasoning_content", input(message.reasoning));
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
        holder["arguments"] = common_json::parse(arguments);
        jinja::global_from_json(context, holder, true);
        return context.get_val("arguments");
    }

    jinja::program program_;
    std::string source_, bos_, eos_;
    jinja::caps caps_;
    bool knows_developer_ = false;
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
