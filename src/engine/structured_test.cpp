// Grammars and schemas through the engine.
#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "engine/testing/test_engine.h"

namespace sutazai::engine {
namespace {

TEST(Structured, ATextThatEndsByItselfMatches) {
    Harness harness;
    const std::regex expected("(yes|no)(, the){1,3}[.]\n[0-9]{4}");
    for (unsigned seed = 0; seed < 20; ++seed) {
        GenerationRequest request = greedy("Well?", -1);
        request.sampling.temperature = seed == 0 ? 0.0F : 1.5F;
        request.sampling.repeat_penalty = seed % 2 == 0 ? 1.0F : 1.3F;
        request.sampling.seed = seed;
        request.top_logprobs = seed % 3 == 0 ? 2 : -1;
        request.ignore_eos = seed % 4 == 0;
        request.grammar = R"(root ::= ("yes" | "no") ", the"{1,3} ".\n" [0-9]{4})";
        const auto answer = harness.ask(request);
        ASSERT_TRUE(answer.finished.has_value()) << answer.error->message;
        EXPECT_EQ(answer.finished->reason, FinishReason::kStop);
        EXPECT_TRUE(std::regex_match(answer.text, expected)) << answer.text;
    }
}

TEST(Structured, AnErrorNamesItsField) {
    Harness harness;
    GenerationRequest request = greedy("Well?", -1);
    request.grammar = "root ::= nothing";
    EXPECT_TRUE(harness.ask(request).error.has_value());
    request.grammar.clear();
    request.json_schema = R"({"type": "nonsense"})";
    const auto refused = harness.ask(request);
    ASSERT_TRUE(refused.error.has_value());
    EXPECT_NE(refused.error->message.find("response_format"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::engine
