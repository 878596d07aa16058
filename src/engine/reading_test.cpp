// Task::kRead: what the model reads of a prompt, told by the preparation threads.
#include <gtest/gtest.h>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

GenerationRequest to_read(decltype(GenerationRequest::prompt) prompt, bool pieces = false) {
    GenerationRequest request;
    request.task = Task::kRead;
    request.prompt = std::move(prompt);
    request.echo = pieces;
    return request;
}

std::string joined(const std::vector<TokenScore>& scores) {
    std::string all;
    for (const TokenScore& score : scores) all += score.token.piece;
    return all;
}

TEST(Reading, TokensOfABareTextAreWithoutWhatTheModelWantsAroundThem) {
    Harness harness;
    const auto bare = harness.ask(to_read(BareText{"Once upon a time"}, true));
    ASSERT_TRUE(bare.finished) << bare.error->message;
    const auto& tokens = bare.finished->tokens;
    EXPECT_EQ(bare.finished->usage.prompt_tokens, tokens.size());
    EXPECT_EQ(bare.scores.size(), tokens.size());
    EXPECT_EQ(joined(bare.scores), "Once upon a time");
    const auto around = harness.ask(to_read(BareText{"Once upon a time", true}));
    EXPECT_TRUE(around.scores.empty());
    EXPECT_EQ(around.finished->tokens, harness.engine().model().tokenize(greedy("Once upon a time", 1)).value());
}

TEST(Reading, NamesOfControlTokensAreTextWhereTheyAreToBe) {
    Harness harness;
    EXPECT_EQ(harness.ask(to_read(BareText{"<|im_end|>"})).finished->tokens.size(), 1U);
    EXPECT_GT(harness.ask(to_read(BareText{"<|im_end|>", false, false})).finished->tokens.size(), 1U);
}

TEST(Reading, NothingIsNoTokens) {
    Harness harness;
    EXPECT_TRUE(harness.ask(to_read(BareText{})).finished->tokens.empty());
    const auto no_ids = harness.ask(to_read(std::vector<Token>{}));
    EXPECT_EQ(no_ids.delta.content, "");
    EXPECT_TRUE(no_ids.finished);
}

TEST(Reading, TokensBecomeTheirTextAndUnknownOnesAreNamed) {
    Harness harness;
    const auto tokens = harness.ask(to_read(BareText{"grüße <|im_end|> 日本"})).finished->tokens;
    EXPECT_EQ(harness.ask(to_read(tokens)).delta.content, "grüße <|im_end|> 日本");
    const auto wrong = harness.ask(to_read(std::vector<Token>{1 << 20}));
    ASSERT_TRUE(wrong.error);
    EXPECT_EQ(wrong.error->field, "prompt");
}

TEST(Reading, AChatIsReadAsItsTemplateWritesIt) {
    Harness harness;
    const Chat chat{{text_message(Role::kUser, "Hi")}};
    const auto read = harness.ask(to_read(chat));
    ASSERT_TRUE(read.finished) << read.error->message;
    EXPECT_EQ(read.delta.content, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_EQ(harness.ask(to_read(read.finished->tokens)).delta.content, read.delta.content);
}

/// Longer than any context, and more pieces than one update holds.
TEST(Reading, ALongTextIsReadWhole) {
    Harness harness;
    std::string text;
    for (int i = 0; i < 20000; ++i) text += "word ";
    const auto read = harness.ask(to_read(BareText{text}, true));
    ASSERT_TRUE(read.finished);
    EXPECT_GT(read.finished->tokens.size(), 10000U);
    EXPECT_EQ(joined(read.scores), text);
}

TEST(Reading, MoreTokensThanOneMayReadAreRefused) {
    Harness harness;
    const auto read = harness.ask(to_read(std::vector<Token>(kMaxReadTokens + 1, 1)));
    ASSERT_TRUE(read.error);
    EXPECT_EQ(read.error->code, ErrorCode::kContextOverflow);
    EXPECT_NE(read.error->message.find("1048576"), std::string::npos) << read.error->message;
}

}  // namespace
}  // namespace sutazai::engine
