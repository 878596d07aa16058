#include "llama/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace sutazai::llama {
namespace {

bool holds(const ChatMessage& message, std::string_view word) {
    const auto in = [&](const std::string& text) { return text.find(word) != std::string::npos; };
    return in(message.reasoning) || std::ranges::any_of(message.content, in, &ContentPart::text);
}

}  // namespace

std::string unused_word(const Chat& chat) {
    // Two of Unicode's private characters: upper and lower case, trimming and quoting leave them alone.
    for (int i = 0;; ++i) {
        std::string word = fmt::format("\xee\x80\x80{}\xee\x80\x81", i);
        if (std::ranges::none_of(chat.messages, [&](const ChatMessage& m) { return holds(m, word); })) return word;
    }
}

std::vector<TextRun> tidy(std::vector<TextRun> runs) {
    std::vector<TextRun> out;
    for (TextRun& run : runs) {
        if (run.text.empty()) continue;
        if (!out.empty() && out.back().from_message == run.from_message) {
            out.back().text += run.text;
        } else {
            out.push_back(std::move(run));
        }
    }
    return out;
}

}  // namespace sutazai::llama
