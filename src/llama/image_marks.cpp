#include "llama/image_marks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace sutazai::llama {

Chat with_marks(const Chat& chat, std::string_view word, bool numbered) {
    Chat out = chat;
    std::size_t n = 0;
    for (ChatMessage& message : out.messages) {
        const auto is_image = [](const ContentPart& part) { return part.image != nullptr; };
        if (std::ranges::none_of(message.content, is_image)) continue;
        std::string text;
        bool behind_image = true;
        for (const ContentPart& part : message.content) {
            if (!is_image(part)) {
                if (!behind_image) text += '\n';
                text += part.text;
            } else if (numbered) {
                text += fmt::format("{}{}{}", word, n++, word);
            } else {
                text += word;
            }
            behind_image = is_image(part);
        }
        message.content = {{std::move(text)}};
    }
    return out;
}

std::vector<Stretch> split_at_marks(std::span<const TextRun> runs, std::string_view word) {
    std::vector<Stretch> out(1);
    const auto add = [&](std::string_view text, bool from_message) {
        if (!text.empty()) out.back().runs.push_back({std::string(text), from_message});
    };
    for (const TextRun& run : runs) {
        std::string_view rest = run.text;
        while (true) {
            const std::size_t begin = rest.find(word);
            const std::size_t number = begin + word.size();
            const std::size_t end = begin == std::string_view::npos ? begin : rest.find(word, number);
            if (end == std::string_view::npos) break;
            std::size_t image = Stretch::kNone;
            const std::string_view digits = rest.substr(number, end - number);
            const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), image);
            if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) break;
            add(rest.substr(0, begin), run.from_message);
            out.back().image = image;
            out.emplace_back();
            rest.remove_prefix(end + word.size());
        }
        add(rest, run.from_message);
    }
    return out;
}

}  // namespace sutazai::llama
