#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llama.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "llama/chat_template.h"

namespace sutazai::llama {
namespace {

/// What llama.cpp's own code renders, without Jinja. It is given a word in the place of each text, so that the places
/// are found again whatever the texts say; a tab on each side of a word tells whether the template trims texts there.
class BuiltInTemplate : public ChatTemplate {
  public:
    explicit BuiltInTemplate(std::string name) : name_(std::move(name)) {}

    [[nodiscard]] Result<std::vector<TextRun>> render(const Chat& chat,
                                                      const CancelCheck& /*cancelled*/) const override {
        const std::string word = unused_word(chat);
        std::vector<std::string> contents;
        std::vector<llama_chat_message> messages;
        contents.reserve(chat.messages.size());
        for (const ChatMessage& message : chat.messages) {
            contents.push_back(fmt::format("\t{}{}{}\t", word, contents.size(), word));
            const Role role = message.role == Role::kDeveloper ? Role::kSystem : message.role;
            messages.push_back({to_string(role), contents.back().c_str()});
        }
        auto text = apply(messages, chat.turn == Turn::kNew);
        if (!text) return std::unexpected(std::move(text.error()));
        std::vector<TextRun> runs;
        std::size_t done = 0;
        for (std::size_t at = text->find(word); at != std::string::npos; at = text->find(word, done)) {
            const std::size_t number_begin = at + word.size();
            const std::size_t end = text->find(word, number_begin) + word.size();
            const auto index = static_cast<std::size_t>(std::stoul(text->substr(number_begin)));
            const bool left = at > done && (*text)[at - 1] == '\t';
            const bool right = end < text->size() && (*text)[end] == '\t';
            runs.push_back({text->substr(done, at - done - (left ? 1 : 0))});
            const bool goes_on = chat.turn == Turn::kContinue && index + 1 == chat.messages.size();
            runs.push_back({content_of(chat.messages.at(index), left, right || goes_on), true});
            if (goes_on) return tidy(std::move(runs));
            done = end + (right ? 1 : 0);
        }
        runs.push_back({text->substr(done)});
        return tidy(std::move(runs));
    }

  private:
    [[nodiscard]] Result<std::string> apply(const std::vector<llama_chat_message>& messages, bool begins_answer) const {
        std::string text(4096, '\0');
        for (;;) {
            const int size = llama_chat_apply_template(name_.c_str(), messages.data(), messages.size(), begins_answer,
                                                       text.data(), static_cast<int>(text.size()));
            if (size < 0) {
                return fail(ErrorCode::kInvalidArgument, "this model's chat template does not take these messages",
                            "messages");
            }
            const bool fits = std::cmp_less_equal(size, text.size());
            text.resize(static_cast<std::size_t>(size));
            if (fits) return text;
        }
    }

    [[nodiscard]] static std::string content_of(const ChatMessage& message, bool keep_left, bool keep_right) {
        std::string content;
        for (const ContentPart& part : message.content) {
            if (&part != message.content.data()) content += '\n';
            content += part.text;
        }
        constexpr const char* kSpaces = " \t\n\v\f\r";
        if (!keep_right) content.erase(content.find_last_not_of(kSpaces) + 1);
        if (!keep_left) content.erase(0, std::min(content.find_first_not_of(kSpaces), content.size()));
        return content;
    }

    std::string name_;  // or a text that it is recognised by
};

}  // namespace

std::vector<std::string> built_in_template_names() {
    std::vector<const char*> names(static_cast<std::size_t>(llama_chat_builtin_templates(nullptr, 0)));
    llama_chat_builtin_templates(names.data(), names.size());
    return {names.begin(), names.end()};
}

Result<std::unique_ptr<ChatTemplate>> built_in_template(const std::string& name) {
    const std::vector<std::string> names = built_in_template_names();
    if (std::ranges::find(names, name) == names.end()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("llama.cpp has no chat template {}; it has {}", name, fmt::join(names, ", ")),
                    "CHAT_TEMPLATE");
    }
    return std::make_unique<BuiltInTemplate>(name);
}

Result<std::unique_ptr<ChatTemplate>> recognized_template(const std::string& text) {
    const llama_chat_message hello{"user", "hello"};
    if (llama_chat_apply_template(text.c_str(), &hello, 1, true, nullptr, 0) <= 0) {
        return fail(ErrorCode::kInvalidArgument, "llama.cpp does not recognise the template that comes with it");
    }
    return std::make_unique<BuiltInTemplate>(text);
}

}  // namespace sutazai::llama
