// Models that compute what is no number, because their file is damaged or was quantised badly: errors, never text.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/testing/harness.h"
#include "llama/testing/test_models.h"

namespace sutazai::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The token '~' is damaged, all else is as it was.
std::string without_tilde(float value = kNan) {
    return llama::damaged_test_model({"token_embd.weight", '~', value});
}

void expect_no_numbers(const GenerationUpdate& end, const std::string& field) {
    ASSERT_TRUE(end.error.has_value());
    EXPECT_FALSE(end.finished.has_value());
    EXPECT_EQ(end.error->code, ErrorCode::kInternal);
    EXPECT_EQ(end.error->field, field);
    EXPECT_NE(end.error->message.find("no numbers"), std::string::npos) << end.error->message;
}

TEST(BrokenNumbers, TheRequestGetsAnErrorThatNamesItsInput) {
    for (const float value : {kNan, kInfinity, -kInfinity}) {
        Harness harness({}, 4096, without_tilde(value));
        for (const float temperature : {0.0F, 0.8F}) {
            GenerationRequest request = greedy("Once ~ upon a time", 20);
            request.sampling.temperature = temperature;
            const auto end = harness.ask(request);
            expect_no_numbers(end, "prompt");
            EXPECT_EQ(end.delta.content, "");
            request.prompt = Chat{{text_message(Role::kUser, "Once ~ upon")}};
            expect_no_numbers(harness.ask(request), "messages");
        }
        EXPECT_EQ(harness.stats().broken_results, 4U);
    }
}

TEST(BrokenNumbers, OthersInTheSameBatchAndAfterwardsGetTheirText) {
    Harness harness({}, 4096, without_tilde());
    std::vector<RequestId> good;
    std::vector<RequestId> bad;
    for (int i = 0; i < 6; ++i) {
        good.push_back(harness.submit(greedy(story(i), 24)));
        bad.push_back(harness.submit(greedy(story(i) + " ~ ", 24)));
    }
    for (int i = 0; i < 6; ++i) {
        expect_same(reference(story(i), 24), harness.wait(good[static_cast<std::size_t>(i)]).delta.content);
        expect_no_numbers(harness.wait(bad[static_cast<std::size_t>(i)]), "prompt");
    }
    expect_same(reference(story(9), 24), harness.ask(greedy(story(9), 24)).delta.content);
}

TEST(BrokenNumbers, AStreamEndsWithTheErrorWhereTheyBegin) {
    Harness harness({}, 4096, without_tilde());
    GenerationRequest request = greedy("Well?", 50);
    request.grammar = R"(root ::= "abc~def")";
    const auto end = harness.ask(request);
    expect_no_numbers(end, "prompt");
    EXPECT_EQ(end.delta.content, "abc~");
}

TEST(BrokenNumbers, AModelThatHasNoneAtAllAnswersNobody) {
    for (const float value : {kNan, kInfinity}) {
        Harness harness({}, 4096, llama::damaged_test_model({"output.weight", 300, value}));
        for (const int top : {-1, 3}) expect_no_numbers(harness.ask(greedy("Hello", 5, top)), "prompt");
    }
}

TEST(BrokenNumbers, AnEmbeddingOfThemIsAnErrorAndItsNeighboursAreFine) {
    Harness harness({}, 4096, without_tilde());
    std::vector<RequestId> ids;
    for (int i = 0; i < 8; ++i) {
        GenerationRequest request;
        request.prompt.emplace<std::string>(i % 3 == 1 ? "a ~ b" : story(i));
        request.task = Task::kEmbed;
        ids.push_back(harness.submit(std::move(request)));
    }
    for (int i = 0; i < 8; ++i) {
        const auto end = harness.wait(ids[static_cast<std::size_t>(i)]);
        if (i % 3 == 1) {
            expect_no_numbers(end, "prompt");
            EXPECT_TRUE(end.embedding.empty());
        } else {
            ASSERT_TRUE(end.finished.has_value()) << i;
            EXPECT_TRUE(std::ranges::all_of(end.embedding, [](float value) { return std::isfinite(value); }));
        }
    }
    EXPECT_EQ(harness.stats().broken_results, 3U);
}

TEST(BrokenNumbers, ScoresOfThemAreAnError) {
    Harness harness({}, 4096, without_tilde());
    GenerationRequest request = greedy("a ~ b", 0, 2);
    request.echo = true;
    expect_no_numbers(harness.ask(request), "prompt");
    request.prompt.emplace<std::string>("a b c d");
    EXPECT_TRUE(harness.ask(request).finished.has_value());
}

}  // namespace
}  // namespace sutazai::engine
