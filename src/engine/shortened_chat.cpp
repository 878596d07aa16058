#include "engine/shortened_chat.h"

#include <optional>
#include <utility>

namespace sutazai::engine {
namespace {

bool is_system(const ChatMessage& message) {
    return message.role == Role::kSystem || message.role == Role::kDeveloper;
}

/// Without what is before message `first`, but for what the system says.
Chat from(const Chat& chat, std::size_t first) {
    Chat out = chat;
    out.messages.clear();
    for (std::size_t i = 0; i < chat.messages.size(); ++i) {
        if (i >= first || is_system(chat.messages[i])) out.messages.push_back(chat.messages[i]);
    }
    return out;
}

/// Where a shorter chat may begin, the longest one first.
std::vector<std::size_t> beginnings(const Chat& chat) {
    std::vector<std::size_t> out;
    bool has_begun = false;
    for (std::size_t i = 0; i < chat.messages.size(); ++i) {
        const bool begins = chat.messages[i].role == Role::kUser || i + 1 == chat.messages.size();
        // The first one is the whole chat.
        if (has_begun && begins && !is_system(chat.messages[i])) out.push_back(i);
        has_begun = has_begun || !is_system(chat.messages[i]);
    }
    return out;
}

}  // namespace

Result<std::vector<sched::Token>> read_shortened(const Chat& chat, const ChatReader& read) {
    auto whole = read(chat);
    const auto is_too_long = [](const auto& tokens) {
        return !tokens && tokens.error().code == ErrorCode::kContextOverflow;
    };
    if (!is_too_long(whole)) return whole;
    const std::vector<std::size_t> all = beginnings(chat);
    std::optional<Result<std::vector<sched::Token>>> best;
    Result<std::vector<sched::Token>> last = std::move(whole);
    std::size_t low = 0;
    std::size_t high = all.size();
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        auto tokens = read(from(chat, all[middle]));
        if (is_too_long(tokens)) {
            last = std::move(tokens);
            low = middle + 1;
        } else {
            best = std::move(tokens);
            high = middle;
        }
    }
    return best ? std::move(*best) : std::move(last);
}

}  // namespace sutazai::engine
