#include "engine/shortened_chat.h"

#include <gtest/gtest.h>

#include <string>

namespace sutazai::engine {
namespace {

/// One letter a message: s, d, u, a, t.
Chat chat_of(const std::string& roles) {
    Chat chat;
    for (const char letter : roles) {
        const Role role = letter == 's'   ? Role::kSystem
                          : letter == 'd' ? Role::kDeveloper
                          : letter == 'u' ? Role::kUser
                          : letter == 'a' ? Role::kAssistant
                                          : Role::kTool;
        chat.messages.push_back(text_message(role, std::string(1, letter)));
    }
    return chat;
}

/// What was read where each message is one token and `most` fit; "" when nothing did.
std::string read_of(const std::string& roles, std::size_t most, int* n_reads = nullptr) {
    std::string taken;
    const auto read = [&](const Chat& chat) -> Result<std::vector<sched::Token>> {
        if (n_reads != nullptr) ++*n_reads;
        std::string now;
        for (const ChatMessage& message : chat.messages) now += message.content.front().text;
        if (now.size() > most) return fail(ErrorCode::kContextOverflow, "has " + std::to_string(now.size()));
        taken = now;
        return std::vector<sched::Token>(now.begin(), now.end());
    };
    const auto tokens = read_shortened(chat_of(roles), read);
    return tokens ? std::string(tokens->begin(), tokens->end()) : "";
}

TEST(ShortenedChat, StaysAsItIsWhereItFits) {
    int n_reads = 0;
    EXPECT_EQ(read_of("suaua", 5, &n_reads), "suaua");
    EXPECT_EQ(n_reads, 1);
}

TEST(ShortenedChat, LosesItsOldestMessagesAndBeginsWithAUser) {
    EXPECT_EQ(read_of("suauau", 5), "suau");
    EXPECT_EQ(read_of("suauau", 4), "suau");
    EXPECT_EQ(read_of("suauau", 3), "su");
    EXPECT_EQ(read_of("suauatatu", 8), "suatatu");
    EXPECT_EQ(read_of("suauatatu", 6), "su") << "no answer without its question";
    EXPECT_EQ(read_of("uaua", 3), "ua");
}

TEST(ShortenedChat, KeepsWhatTheSystemSaysWhereverItIs) {
    EXPECT_EQ(read_of("dsuasuau", 5), "dssu");
    EXPECT_EQ(read_of("dsuasuau", 6), "dssuau");
}

TEST(ShortenedChat, TheLastMessageStaysWhoeverSaysIt) {
    EXPECT_EQ(read_of("suat", 2), "st");
    EXPECT_EQ(read_of("sua", 2), "sa");
}

TEST(ShortenedChat, SaysHowLongTheShortestIs) {
    EXPECT_EQ(read_of("suau", 1), "");
    const auto read = [](const Chat& chat) -> Result<std::vector<sched::Token>> {
        return fail(ErrorCode::kContextOverflow, "has " + std::to_string(chat.messages.size()));
    };
    EXPECT_EQ(read_shortened(chat_of("suauau"), read).error().message, "has 2");
    EXPECT_EQ(read_shortened(chat_of("u"), read).error().message, "has 1");
    EXPECT_EQ(read_shortened(Chat{}, read).error().message, "has 0");
}

TEST(ShortenedChat, OtherErrorsEndIt) {
    const auto read = [](const Chat& chat) -> Result<std::vector<sched::Token>> {
        if (chat.messages.size() > 4) return fail(ErrorCode::kContextOverflow, "too long");
        return fail(ErrorCode::kCancelled, "cancelled");
    };
    EXPECT_EQ(read_shortened(chat_of("suauauau"), read).error().code, ErrorCode::kCancelled);
}

TEST(ShortenedChat, ALongChatIsReadOnlyAFewTimes) {
    std::string roles;
    for (int i = 0; i < 5000; ++i) roles += "ua";
    int n_reads = 0;
    EXPECT_EQ(read_of(roles + "u", 1001, &n_reads).size(), 1001U);
    EXPECT_LE(n_reads, 15);
}

}  // namespace
}  // namespace sutazai::engine
