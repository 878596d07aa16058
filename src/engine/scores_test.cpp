// Scores of tokens, generated and of the prompt, against an independent computation from the model's logits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/utf8_stream.h"
#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

/// The log-probabilities after `tokens`, computed in one go and in double precision.
std::vector<double> exact_logprobs(Model& model, const std::vector<Token>& tokens) {
    model.apply(sched::Trim{0, 0});
    sched::Step step;
    step.chunks = {{1, 0, 0, static_cast<int>(tokens.size()), true}};
    EXPECT_EQ(model.decode(step, [&](RequestId) -> const std::vector<Token>& { return tokens; }),
              Model::Outcome::kDone);
    const float* logits = model.logits(0);
    std::vector<double> result(logits, logits + model.properties().vocabulary);
    const double largest = *std::ranges::max_element(result);
    double sum = 0;
    for (const double logit : result) sum += std::exp(logit - largest);
    for (double& logit : result) logit -= largest + std::log(sum);
    return result;
}

/// Shapes of batches differ, and with them the rounding of llama.cpp's kernels.
constexpr double kTolerance = 0.02;

void expect_score(const Model& model, const TokenScore& score, Token token, const std::vector<double>& exact, int top) {
    ASSERT_TRUE(score.scored);
    EXPECT_EQ(score.token.piece, model.piece(token));
    EXPECT_NEAR(score.token.logprob, exact[token], kTolerance);
    std::vector<double> sorted = exact;
    std::ranges::sort(sorted, std::greater<>());
    ASSERT_EQ(score.top.size(), static_cast<std::size_t>(top));
    for (int i = 0; i < top; ++i) EXPECT_NEAR(score.top[i].logprob, sorted[i], kTolerance) << "alternative " << i;
}

TEST(Scores, OfGeneratedTokensAreThoseOfTheRawDistribution) {
    const auto model = load_test_model("toy", 4096);
    for (const bool penalties : {false, true}) {
        Harness harness;
        GenerationRequest request = greedy("Once upon a time there was", 24, 5);
        if (penalties) {
            request.sampling.repeat_penalty = 1.5F;
            request.sampling.frequency_penalty = 1;
            request.sampling.temperature = 1;
            request.sampling.seed = 3;
        }
        const auto end = harness.ask(request);
        ASSERT_EQ(end.scores.size(), 24U);
        std::vector<Token> chain = model->tokenize(request).value();
        for (const TokenScore& score : end.scores) {
            const auto exact = exact_logprobs(*model, chain);
            Token token = -1;
            for (Token t = 0; t < model->properties().vocabulary && token < 0; ++t) {
                if (model->piece(t) == score.token.piece) token = t;
            }
            ASSERT_GE(token, 0);
            expect_score(*model, score, token, exact, 5);
            chain.push_back(token);
        }
    }
}

TEST(Scores, ComeOnlyWhenAskedForAndWithNoAlternativesIfNoneAreWanted) {
    Harness harness;
    EXPECT_TRUE(harness.ask(greedy("Hello", 5, -1)).scores.empty());
    const auto end = harness.ask(greedy("Hello", 5, 0));
    ASSERT_EQ(end.scores.size(), 5U);
    EXPECT_TRUE(end.scores.front().top.empty());
}

TEST(Scores, AreThoseOfTheTextThatComesOut) {
    Harness harness;
    const auto whole = harness.ask(greedy("Once upon a time", 60, 0));
    std::string pieces;
    std::vector<std::size_t> begins;
    Utf8Stream characters;
    for (const TokenScore& score : whole.scores) {
        begins.push_back(pieces.size());
        characters.append(score.token.piece, pieces);
    }
    characters.finish(pieces);
    EXPECT_EQ(pieces, whole.delta.content);
    GenerationRequest request = greedy("Once upon a time", 60, 0);
    request.stop = {whole.delta.content.substr(begins[20], 4)};
    const auto cut = harness.ask(request);
    ASSERT_EQ(cut.finished->reason, FinishReason::kStop);
    const auto expected =
        std::ranges::count_if(begins, [&](std::size_t begin) { return begin < cut.delta.content.size(); });
    EXPECT_EQ(cut.scores.size(), static_cast<std::size_t>(expected)) << cut.delta.content;
}

TEST(Scores, OfAPromptAreThoseOfTheRawDistribution) {
    const auto model = load_test_model("toy", 4096);
    Harness harness;
    for (const int length : {1, 2, 40, 700}) {
        std::vector<Token> prompt(length);
        for (int i = 0; i < length; ++i) prompt[i] = (i * 37 + 11) % 200;
        GenerationRequest request = greedy("", 0, 3);
        request.prompt = prompt;
        request.echo = true;
        const auto end = harness.ask(request);
        ASSERT_TRUE(end.finished.has_value()) << (end.error ? end.error->message : "");
        EXPECT_EQ(end.finished->reason, FinishReason::kLength);
        EXPECT_EQ(end.finished->usage, (Usage{static_cast<std::uint32_t>(length), 0, 0}));
        ASSERT_EQ(end.scores.size(), static_cast<std::size_t>(length));
        EXPECT_FALSE(end.scores[0].scored);
        for (int i = 1; i<length; i += length> 100 ? 97 : 1) {
            const auto exact = exact_logprobs(*model, {prompt.begin(), prompt.begin() + i});
            expect_score(*model, end.scores[i], prompt[i], exact, 3);
        }
    }
}

TEST(Scores, OfManyPromptsInOneBatchAreThoseOfEachAlone) {
    const auto prompt = [](int i) { return std::string(1 + i % 7, 'a') + " tale of " + std::to_string(i * i); };
    const auto request = [&](int i) {
        GenerationRequest one = greedy(prompt(i), 0, 2);
        one.echo = true;
        return one;
    };
    Harness crowd;
    std::vector<RequestId> ids;
    for (int i = 0; i < 80; ++i) ids.push_back(crowd.submit(request(i)));
    Harness alone;
    for (int i = 0; i < 80; i += 9) {
        const auto together = crowd.wait(ids[i]);
        const auto single = alone.ask(request(i));
        EXPECT_EQ(together.delta.content, prompt(i));
        ASSERT_EQ(together.scores.size(), single.scores.size());
        for (std::size_t k = 1; k < single.scores.size(); ++k) {
            EXPECT_NEAR(together.scores[k].token.logprob, single.scores[k].token.logprob, kTolerance);
        }
    }
}

TEST(Scores, AnEchoGoesBeforeTheAnswer) {
    Harness harness;
    GenerationRequest request = greedy("Once upon a time", 6, -1);
    const auto plain = harness.ask(request);
    request.echo = true;
    const auto echoed = harness.ask(request);
    EXPECT_EQ(echoed.delta.content, "Once upon a time" + plain.delta.content);
    EXPECT_TRUE(echoed.scores.empty());
    EXPECT_EQ(echoed.n_tokens, 6U);
    request.top_logprobs = 0;
    const auto scored = harness.ask(request);
    EXPECT_EQ(scored.delta.content, echoed.delta.content);
    EXPECT_EQ(scored.scores.size(), scored.finished->usage.prompt_tokens + 6);
}

TEST(Scores, LongPromptsDoNotStopTheStreams) {
    Harness harness;
    const RequestId stream = harness.submit(greedy("Hello", -1, -1));
    harness.wait_for_tokens(stream, 3);
    std::vector<RequestId> ids;
    for (int i = 0; i < 4; ++i) {
        GenerationRequest request = greedy("", 0, 0);
        request.prompt = std::vector<Token>(2000, 5 + i);
        request.echo = true;
        ids.push_back(harness.submit(request));
    }
    const std::uint32_t before = harness.tokens_of(stream);
    for (const RequestId id : ids) EXPECT_EQ(harness.wait(id).scores.size(), 2000U);
    EXPECT_GT(harness.tokens_of(stream), before + 4) << "a token for each turn";
    harness.engine().cancel(stream);
}

TEST(Scores, CancelledPromptsAreForgotten) {
    Harness harness;
    std::vector<RequestId> ids;
    for (int i = 0; i < 40; ++i) {
        GenerationRequest request = greedy("", 0, 0);
        request.prompt = std::vector<Token>(1500, 5 + i);
        request.echo = true;
        ids.push_back(harness.submit(request));
    }
    for (int i = 0; i < 39; ++i) harness.engine().cancel(ids[i]);
    EXPECT_EQ(harness.wait(ids[39]).scores.size(), 1500U);
    harness.engine().wait_until_idle();
}

TEST(Scores, TokensThatAreNoneAreRefused) {
    Harness harness;
    GenerationRequest request = greedy("", 4, -1);
    for (const Token wrong : {-1, 1'000'000}) {
        request.prompt = std::vector<Token>{1, wrong};
        const auto end = harness.ask(request);
        ASSERT_TRUE(end.error.has_value());
        EXPECT_EQ(end.error->code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(end.error->field, "prompt");
    }
}

}  // namespace
}  // namespace sutazai::engine
