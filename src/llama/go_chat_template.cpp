#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "llama/chat_template.h"
#include "text/go_template.h"

namespace sutazai::llama {
namespace {

namespace json = boost::json;
using text::GoTemplate;
using text::GoValue;

std::unexpected<Error> refuse(std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("the model's chat template (Go): {}", why), "messages");
}

GoValue text_value(std::string its, int origin = GoValue::kOfTemplate) {
    return GoValue(std::move(its), origin);
}

/// What a tool's arguments say; a text where they are no JSON.
GoValue value_of(const json::value& value, int origin) {
    switch (value.kind()) {
        case json::kind::null: return {};
        case json::kind::bool_: return GoValue(value.get_bool());
        case json::kind::int64: return GoValue(std::int64_t{value.get_int64()});
        case json::kind::uint64: return GoValue(static_cast<double>(value.get_uint64()));
        case json::kind::double_: return GoValue(value.get_double());
        case json::kind::string: return text_value(std::string(value.get_string()), origin);
        case json::kind::array: {
            GoValue::List items;
            for (const json::value& one : value.get_array()) items.push_back(value_of(one, origin));
            return GoValue::list(std::move(items));
        }
        case json::kind::object: {
            GoValue::Map map;
            for (const auto& [name, one] : value.get_object()) map.entries[std::string(name)] = value_of(one, origin);
            return GoValue::map(std::move(map));
        }
    }
    return {};
}

/// A message as Ollama's templates see it. Whatever it says is its own: `origin` is its number, from 1 on.
struct Message {
    Role role = Role::kUser;
    std::string content;
    const ChatMessage* message = nullptr;  // the first of those that were put together
    int origin = 0;
};

std::string content_of(const ChatMessage& message) {
    std::string content;
    for (const ContentPart& part : message.content) {
        if (&part != message.content.data()) content += '\n';
        content += part.text;
    }
    return content;
}

Role role_of(const ChatMessage& message) {
    return message.role == Role::kDeveloper ? Role::kSystem : message.role;
}

/// Neighbours of one role are one message, as Ollama has it; answers of tools stay apart.
std::vector<Message> collated(const Chat& chat) {
    std::vector<Message> out;
    for (std::size_t i = 0; i < chat.messages.size(); ++i) {
        const ChatMessage& message = chat.messages[i];
        const Role role = role_of(message);
        if (!out.empty() && out.back().role == role && role != Role::kTool) {
            out.back().content += "\n\n" + content_of(message);
            out.back().origin = static_cast<int>(i) + 1;
        } else {
            out.push_back({role, content_of(message), &message, static_cast<int>(i) + 1});
        }
    }
    return out;
}

GoValue tool_calls_of(const Message& turn) {
    GoValue::List calls;
    std::int64_t number = 0;
    for (const ToolCall& call : turn.message->tool_calls) {
        boost::system::error_code broken;
        const json::value parsed = json::parse(call.arguments, broken);
        GoValue arguments = broken ? text_value(call.arguments, turn.origin) : value_of(parsed, turn.origin);
        GoValue function = GoValue::map({{{"Index", GoValue(number++)},
                                          {"Name", text_value(call.name, turn.origin)},
                                          {"Arguments", std::move(arguments)}},
                                         true});
        calls.push_back(
            GoValue::map({{{"ID", text_value(call.id, turn.origin)}, {"Function", std::move(function)}}, true}));
    }
    return GoValue::list(std::move(calls));
}

class GoChatTemplate final : public ChatTemplate {
  public:
    explicit GoChatTemplate(GoTemplate its)
        : takes_messages_(its.uses("Messages")),
          whole_(takes_messages_ || its.uses("Response") ? std::move(its) : its.with_field("Response")),
          last_(whole_.cut_behind("Response")) {}

    [[nodiscard]] Result<std::vector<TextRun>> render(const Chat& chat, const CancelCheck& cancelled) const override {
        if (chat.turn == Turn::kOpen) {
            return refuse("it always begins an answer, so a chat without one cannot be written with it");
        }
        Writing writing{{}, cancelled};
        const std::vector<Message> turns = collated(chat);
        const auto done = takes_messages_ ? write_messages(turns, writing) : write_rounds(turns, writing);
        if (!done) {
            if (done.error().code == ErrorCode::kCancelled) return std::unexpected(done.error());
            return refuse(done.error().message);
        }
        if (chat.turn == Turn::kContinue) {
            const int last = static_cast<int>(chat.messages.size());
            const auto end = std::ranges::find_if(writing.runs.rbegin(), writing.runs.rend(),
                                                  [&](const Run& run) { return run.origin == last; });
            if (end == writing.runs.rend()) return refuse("it does not write the message that is to be continued");
            writing.runs.erase(end.base(), writing.runs.end());
        }
        std::vector<TextRun> out;
        out.reserve(writing.runs.size());
        for (Run& run : writing.runs) out.push_back({std::move(run.text), run.origin != GoValue::kOfTemplate});
        return tidy(std::move(out));
    }

  private:
    struct Run {
        std::string text;
        int origin;
    };
    struct Writing {
        std::vector<Run> runs;
        const CancelCheck& cancelled;

        Result<void> add(const GoTemplate& its, GoValue::Map values) {
            for (const char* flag : {"Think", "IsThinkSet"}) values.entries.emplace(flag, GoValue(false));
            values.entries.emplace("ThinkLevel", text_value(""));
            return its.execute(
                GoValue::map(std::move(values)),
                [this](std::string_view text, int origin) {
                    if (runs.empty() || runs.back().origin != origin) runs.push_back({{}, origin});
                    runs.back().text += text;
                },
                cancelled);
        }
    };

    /// A template that goes through the messages by itself.
    Result<void> write_messages(const std::vector<Message>& turns, Writing& writing) const {
        std::string system;
        int system_origin = GoValue::kOfTemplate;
        GoValue::List messages;
        for (const Message& turn : turns) {
            if (turn.role == Role::kSystem) {
                if (!system.empty()) system += "\n\n";
                system += turn.content;
                system_origin = turn.origin;
            }
            const bool is_tool = turn.role == Role::kTool;
            messages.push_back(GoValue::map({{{"Role", text_value(to_string(turn.role))},
                                              {"Content", text_value(turn.content, turn.origin)},
                                              {"Thinking", text_value(turn.message->reasoning, turn.origin)},
                                              {"Images", GoValue::list({})},
                                              {"ToolCalls", tool_calls_of(turn)},
                                              {"ToolName", text_value(is_tool ? turn.message->name : "", turn.origin)},
                                              {"ToolCallID", text_value(turn.message->tool_call_id, turn.origin)}},
                                             true}));
        }
        return writing.add(whole_, {{{"System", text_value(system, system_origin)},
                                     {"Messages", GoValue::list(std::move(messages))},
                                     {"Tools", GoValue::list({})},
                                     {"Response", text_value("")}}});
    }

    /// One that writes a system message, a question and an answer at a time; behind the last question it ends where the
    /// answer goes.
    Result<void> write_rounds(const std::vector<Message>& turns, Writing& writing) const {
        Message system;
        Message prompt;
        Message response;
        const auto round = [&](const GoTemplate& its) {
            GoValue::Map values{{{"System", text_value(std::exchange(system.content, {}), system.origin)},
                                 {"Prompt", text_value(std::exchange(prompt.content, {}), prompt.origin)},
                                 {"Response", text_value(std::exchange(response.content, {}), response.origin)}}};
            return writing.add(its, std::move(values));
        };
        for (const Message& turn : turns) {
            const bool is_over = turn.role == Role::kSystem ? !prompt.content.empty() || !response.content.empty()
                                                            : turn.role == Role::kUser && !response.content.empty();
            if (is_over) {
                if (auto done = round(whole_); !done) return done;
            }
            if (turn.role == Role::kSystem) system = turn;
            if (turn.role == Role::kUser) prompt = turn;
            if (turn.role == Role::kAssistant) response = turn;
        }
        return round(last_);
    }

    bool takes_messages_;
    GoTemplate whole_;
    GoTemplate last_;  // whole_, up to its answer
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> go_template(const std::string& source) {
    auto made = GoTemplate::parse(source);
    if (!made) return std::unexpected(std::move(made.error()));
    const bool writes = made->uses("Messages") || made->uses("Prompt");
    if (!writes) return fail(ErrorCode::kInvalidArgument, "it writes neither .Messages nor .Prompt");
    return std::make_unique<GoChatTemplate>(std::move(*made));
}

}  // namespace sutazai::llama
