// Several answers to one prompt, and what waits in front of the scheduler.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

GenerationRequest drawn(std::string prompt, int max_tokens, unsigned seed, int n = 1) {
    GenerationRequest request = greedy(std::move(prompt), max_tokens);
    request.sampling = {.temperature = 1.5F, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
    request.n = n;
    return request;
}

TEST(Choices, EachIsTheAnswerOfItsOwnSeedAndThePromptIsComputedOnce) {
    Harness harness({.batch_size = 4, .batch_size_max = 4});
    const RequestId first = harness.submit(drawn(story(1), 12, 40, 6));
    std::vector<GenerationUpdate> answers;
    for (RequestId id = first; id < first + 6; ++id) answers.push_back(harness.wait(id));
    int computed = 0;
    for (unsigned i = 0; i < 6; ++i) {
        ASSERT_TRUE(answers[i].finished.has_value());
        EXPECT_EQ(answers[i].n_tokens, 12U);
        computed += answers[i].finished->usage.cached_tokens == 0 ? 1 : 0;
        EXPECT_EQ(answers[i].delta.content, harness.ask(drawn(story(1), 12, 40 + i)).delta.content) << "choice " << i;
    }
    EXPECT_EQ(computed, 1);
}

TEST(Choices, WithoutASeedTheyDiffer) {
    Harness harness;
    GenerationRequest request = drawn("Hello", 12, 0, 2);
    request.sampling.seed.reset();
    const RequestId first = harness.submit(request);
    EXPECT_NE(harness.wait(first).delta.content, harness.wait(first + 1).delta.content);
}

TEST(Choices, AGrammarIsCompiledOnceAndEachFollowsItsOwnWay) {
    Harness harness;
    GenerationRequest request = drawn("Well?", 40, 7, 5);
    request.grammar = R"(root ::= ("yes" | "no") " " [0-9]{3})";
    const RequestId first = harness.submit(request);
    for (RequestId id = first; id < first + 5; ++id) {
        const auto answer = harness.wait(id);
        ASSERT_TRUE(answer.finished.has_value());
        EXPECT_TRUE(answer.delta.content.starts_with("yes ") || answer.delta.content.starts_with("no "))
            << answer.delta.content;
        EXPECT_EQ(answer.delta.content.size(), answer.delta.content.starts_with("yes ") ? 7U : 6U)
            << answer.delta.content;
    }
}

TEST(Choices, OneCanBeCancelledAndTheOthersGoOn) {
    Harness harness({.batch_size = 2, .batch_size_max = 2});
    const RequestId first = harness.submit(drawn("Hello", 60, 1, 20));
    harness.engine().cancel(first + 3);
    harness.wait_for_tokens(first, 3);
    harness.engine().cancel(first);
    harness.engine().cancel(first + 19);
    for (RequestId id = first; id < first + 20; ++id) {
        if (id == first || id == first + 3 || id == first + 19) continue;
        EXPECT_EQ(harness.wait(id).n_tokens, 60U);
    }
    harness.engine().wait_until_idle();
    for (const RequestId id : {first, first + 3, first + 19}) EXPECT_LT(harness.tokens_of(id), 60U);
    EXPECT_EQ(harness.stats().running + harness.stats().waiting, 0U);
}

TEST(Choices, AnErrorIsToldToEachOfThem) {
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 256);
    const RequestId first = harness.submit(drawn(std::string(5000, 'x'), 4, 1, 3));
    for (RequestId id = first; id < first + 3; ++id) {
        const auto answer = harness.wait(id);
        ASSERT_TRUE(answer.error.has_value());
        EXPECT_EQ(answer.error->code, ErrorCode::kContextOverflow);
        EXPECT_EQ(answer.error->field, "prompt");
    }
}

TEST(Choices, EchoAndScoresAreEachAnswers) {
    Harness harness;
    GenerationRequest request = drawn("Once upon", 3, 1, 3);
    request.echo = true;
    request.top_logprobs = 1;
    RequestId first = harness.submit(request);
    for (RequestId id = first; id < first + 3; ++id) {
        const auto answer = harness.wait(id);
        EXPECT_TRUE(answer.delta.content.starts_with("Once upon"));
        EXPECT_EQ(answer.scores.size(), answer.finished->usage.prompt_tokens + 3);
    }
    request.max_tokens = 0;
    first = harness.submit(request);
    for (RequestId id = first; id < first + 3; ++id) EXPECT_EQ(harness.wait(id).delta.content, "Once upon");
}

TEST(Choices, TheQueueCountsEachAnswer) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .max_queue = 3});
    const RequestId endless = harness.submit(greedy("Hello", -1));
    harness.wait_for_tokens(endless, 3);
    const RequestId three = harness.submit(drawn("waits", 1, 1, 3));
    const RequestId refused = harness.submit(drawn("refused", 1, 1, 2));
    for (const RequestId id : {refused, refused + 1}) {
        const auto answer = harness.wait(id);
        ASSERT_TRUE(answer.error.has_value());
        EXPECT_EQ(answer.error->code, ErrorCode::kQueueFull);
    }
    harness.engine().cancel(endless);
    for (RequestId id = three; id < three + 3; ++id) EXPECT_TRUE(harness.wait(id).finished.has_value());
}

TEST(Preparation, ShortPromptsDoNotWaitForLongOnes) {
    Harness harness({.batch_size = 2, .batch_size_max = 2});
    std::string text;
    for (int i = 0; text.size() < 24'000; ++i) text += "word " + std::to_string(i) + ", ";
    std::vector<RequestId> long_ones;
    for (int i = 0; i < 100; ++i) long_ones.push_back(harness.submit(greedy(text, 1)));
    EXPECT_TRUE(harness.ask(greedy("Hello", 1)).finished.has_value());
    EXPECT_FALSE(harness.has_ended(long_ones.back())) << "they were prepared first";
    for (const RequestId id : long_ones) harness.engine().cancel(id);
    harness.engine().wait_until_idle();
}

TEST(Preparation, APromptThatCannotFitIsRefusedByItsBytes) {
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 256);
    const auto began = std::chrono::steady_clock::now();
    const auto answer = harness.ask(greedy(std::string(std::size_t{6} << 20, 'a'), 1));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
    ASSERT_TRUE(answer.error.has_value());
    EXPECT_EQ(answer.error->code, ErrorCode::kContextOverflow);
    for (const char* word : {"at least ", "stands for more than ", "holds 256", "at least one must be left"}) {
        EXPECT_NE(answer.error->message.find(word), std::string::npos) << answer.error->message;
    }
}

TEST(Stops, TheNameOfAControlTokenStopsWhereThatTokenIsDrawn) {
    Harness harness;
    GenerationRequest request = drawn("Once upon a time", 900, 5);
    request.top_logprobs = 0;
    const auto whole = harness.ask(request);
    std::string before;
    std::string name;
    for (const TokenScore& score : whole.scores) {
        if (score.token.piece.starts_with("<|") && before.size() > 8) {
            name = score.token.piece;
            break;
        }
        if (!score.token.piece.starts_with("<|")) before += score.token.piece;
    }
    ASSERT_FALSE(name.empty()) << "no control token was drawn: the test shows nothing";
    ASSERT_EQ(whole.delta.content.find(name), std::string::npos);

    request.stop = {name};
    const auto stopped = harness.ask(request);
    EXPECT_EQ(stopped.finished->reason, FinishReason::kStop);
    EXPECT_LT(stopped.n_tokens, whole.n_tokens);
    EXPECT_TRUE(whole.delta.content.starts_with(stopped.delta.content));
}

TEST(Fetching, CountsAsWaitingAndExpires) {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("sutazai-fetching-" + std::to_string(::getpid()));
    EngineConfig config{.batch_size = 1, .batch_size_max = 1, .max_queue = 1, .prefix_cache_bytes = 64 << 20};
    config.artifacts = {folder.string(), 1U << 30, std::chrono::hours(24), test_model()};
    std::string prompt;
    for (int i = 0; i < 8; ++i) prompt += story(i);
    {
        Harness harness(config);
        harness.ask(greedy(prompt, 4));
        ASSERT_TRUE(harness.engine().artifacts(ArtifactAction::kSave).has_value());
    }
    config.queue_timeout = std::chrono::milliseconds(1500);
    config.artifacts.read_delay = std::chrono::milliseconds(2500);
    Harness harness(config);
    (void)harness.engine().artifacts(ArtifactAction::kPrune);  // waits until the store is open
    const RequestId stuck = harness.submit(drawn(prompt, 4, 1, 3));
    harness.engine().cancel(stuck + 1);
    for (int i = 0; i < 6000 && harness.stats().waiting != 2; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(harness.stats().waiting, 2);
    const auto other = harness.ask(greedy("Hello", 1));
    ASSERT_TRUE(other.error.has_value()) << "two wait, and one may beside the one that has a place";
    EXPECT_EQ(other.error->code, ErrorCode::kQueueFull);
    for (const RequestId id : {stuck, stuck + 2}) {
        const auto answer = harness.wait(id);
        ASSERT_TRUE(answer.error.has_value());
        EXPECT_EQ(answer.error->code, ErrorCode::kQueueTimeout);
    }
    EXPECT_FALSE(harness.has_ended(stuck + 1));
    bool taken = false;  // the count is as of the engine's last step
    for (int i = 0; i < 200 && !taken; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        taken = harness.ask(greedy("Hello", 1)).finished.has_value();
    }
    EXPECT_TRUE(taken);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sutazai::engine
