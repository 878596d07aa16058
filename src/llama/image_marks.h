#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/generation.h"
#include "llama/chat_template.h"

/// Images on their way through a chat template, which knows nothing of them: each is a word in the text.
namespace sutazai::llama {

/// llama.cpp's word for an image, for people.
inline constexpr std::string_view kImageWord = "<__media__>";

/// The chat with a text in place of each image. Texts of a message are put together as llama-server does it: each on a
/// line of its own, but for those beside images. Without `numbered` the text is `word`.
[[nodiscard]] Chat with_marks(const Chat& chat, std::string_view word, bool numbered);

/// What stands before an image, or behind the last one.
struct Stretch {
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    std::vector<TextRun> runs = {};
    std::size_t image = kNone;  ///< that follows, by its number in the chat

    bool operator==(const Stretch&) const = default;
};

/// Finds the numbered marks in what was rendered. The last stretch has no image.
[[nodiscard]] std::vector<Stretch> split_at_marks(std::span<const TextRun> runs, std::string_view word);

}  // namespace sutazai::llama
