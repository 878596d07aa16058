// Grammars and schemas through the engine.
#include <gtest/gtest.h>

#include <cstring>
#include <regex>
#include <set>
#include <string>

#include "engine/testing/harness.h"

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
        EXPECT_TRUE(std::regex_match(answer.delta.content, expected)) << answer.delta.content;
    }
}

/// Words of which each may be left out: what may come next takes long to tell.
GenerationRequest constrained(unsigned seed) {
    GenerationRequest request = greedy("Well?", 20);
    request.sampling.temperature = 1.5F;
    request.sampling.seed = seed;
    request.grammar = "root ::= ([a-z ]{0,40} [a-z]?){1,600}";
    return request;
}

/// The answer, and what the server's watchdog is told meanwhile of the thread that draws slowly.
struct Watched {
    GenerationUpdate answer;
    std::set<std::uint64_t> draws;
};
Watched watch(Harness& harness, const GenerationRequest& request) {
    Watched watched;
    const RequestId id = harness.submit(request);
    while (!harness.has_ended(id)) {
        for (const Work& work : harness.engine().works()) {
            if (std::strcmp(work.what, "the draw of a token") == 0) watched.draws.insert(work.progress);
        }
    }
    watched.answer = harness.wait(id);
    return watched;
}

/// A vocabulary of 151,936: what may come next is too much to ask on the decode thread.
TEST(Structured, WhatTakesLongIsDrawnBesideTheOthers) {
    Harness harness({.batch_size = 4}, 4096, "toy-qwen2");
    const RequestId plain = harness.submit(greedy("Tell me", 60));
    const RequestId left = harness.submit(constrained(0));
    harness.engine().cancel(left);
    const std::regex expected("[a-z ]*");
    std::string first;
    for (unsigned seed = 1; seed < 4; ++seed) {
        const auto [answer, draws] = watch(harness, constrained(seed));
        ASSERT_TRUE(answer.finished.has_value()) << answer.error->message;
        EXPECT_TRUE(std::regex_match(answer.delta.content, expected)) << answer.delta.content;
        EXPECT_GT(draws.size(), 1U) << "hardly anything took long: the test shows nothing";
        if (seed == 1) first = answer.delta.content;
    }
    EXPECT_EQ(harness.ask(constrained(1)).delta.content, first);
    const auto answer = harness.wait(plain);
    ASSERT_TRUE(answer.finished.has_value());
    expect_same(reference("Tell me", 60, "toy-qwen2"), answer.delta.content);
    harness.engine().wait_until_idle();
    EXPECT_TRUE(harness.engine().works().empty());
}

TEST(Structured, AGrammarPastItsBudgetEndsItsRequestAlone) {
    Harness harness({.batch_size = 4}, 4096, "toy-qwen2");
    GenerationRequest request = greedy("Well?", 20);
    request.grammar = "root ::= \"\" | ([a-z ]{0,40} [a-z]?){1,4000}";
    const auto answer = harness.ask(request);
    ASSERT_TRUE(answer.error.has_value()) << answer.delta.content;
    EXPECT_EQ(answer.error->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(answer.error->field, "grammar");
    EXPECT_EQ(answer.error->message,
              "grammar is too ambiguous: to tell what may come next takes more than 800000 looks at a state");
    EXPECT_TRUE(harness.ask(greedy("Hello", 4)).finished.has_value());
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
