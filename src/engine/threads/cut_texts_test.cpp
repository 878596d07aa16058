// Where a text is cut by its number of tokens, it ends with its last whole character.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/collector.h"
#include "engine/testing/fake_model.h"

namespace sutazai::engine {
namespace {

/// Each of its tokens is a byte.
GenerationUpdate ask(const std::string& grammar, int max_tokens) {
    Collector collector;
    Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{}), EngineConfig{},
                  [&](StepReport report) { collector.take(std::move(report)); });
    GenerationRequest request;
    request.prompt = "a prompt";
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.top_logprobs = 0;
    request.grammar = grammar;
    engine.submit(1, std::move(request));
    return collector.wait(1);
}

TEST(CutTexts, ACharacterThatIsCutIsLeftOut) {
    const std::string text = "aé日🙂z";
    const std::vector<std::string> whole{"", "a", "aé", "aé日", "aé日🙂", "aé日🙂z"};
    for (int n = 1; n <= 11; ++n) {
        const GenerationUpdate got = ask("root ::= \"" + text + "\" [b]*", n);
        ASSERT_TRUE(got.finished) << got.error->message;
        EXPECT_EQ(got.finished->reason, FinishReason::kLength);
        std::string expected;
        for (const std::string& beginning : whole) {
            if (std::cmp_less_equal(beginning.size(), n)) expected = beginning;
        }
        EXPECT_EQ(got.delta.content, expected) << n;
        // Of the tokens nothing is left out.
        std::string bytes;
        for (const TokenScore& score : got.scores) bytes += score.token.piece;
        EXPECT_EQ(bytes, text.substr(0, static_cast<std::size_t>(n)));
        EXPECT_EQ(got.finished->usage.completion_tokens, static_cast<std::uint32_t>(n));
    }
}

TEST(CutTexts, WhatIsNoCharacterIsReplaced) {
    EXPECT_EQ(ask("root ::= \"a\" <[128]> \"b\"{9}", 2).delta.content, "a\xEF\xBF\xBD");
    EXPECT_EQ(ask("root ::= \"a\" <[226]> \"b\"{9}", 3).delta.content, "a\xEF\xBF\xBD\x62");
    EXPECT_EQ(ask("root ::= \"a\" <[226]> <[226]> \"b\"{9}", 3).delta.content, "a\xEF\xBF\xBD") << "the second is cut";
    const GenerationUpdate ended = ask("root ::= \"a\" <[226]>", 9);
    ASSERT_TRUE(ended.finished);
    EXPECT_EQ(ended.finished->reason, FinishReason::kStop);
    EXPECT_EQ(ended.delta.content, "a\xEF\xBF\xBD") << "nobody cut it: the model ended so";
}

}  // namespace
}  // namespace sutazai::engine
