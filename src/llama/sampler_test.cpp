#include "llama/quick_sampler.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace sutazai::llama {
namespace {

std::vector<float> random_logits(std::uint32_t seed, std::size_t n) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

SamplingParams params(float temperature, int top_k, float top_p, float min_p) {
    SamplingParams p;
    p.temperature = temperature;
    p.top_k = top_k;
    p.top_p = top_p;
    p.min_p = min_p;
    p.seed = 7;
    return p;
}

/// Probability of each token under llama.cpp's own chain.
std::map<sched::Token, double> reference(const std::vector<float>& logits, const SamplingParams& p,
                                         const std::vector<sched::Token>& history) {
    llama_sampler* chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    llama_sampler_chain_add(
        chain, llama_sampler_init_penalties(static_cast<int>(logits.size()), kPenaltyWindowTokens, p.repeat_penalty,
                                            p.frequency_penalty, p.presence_penalty));
    llama_sampler_chain_add(chain, llama_sampler_init_top_k(p.top_k));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(p.top_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_min_p(p.min_p, 1));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(p.temperature));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(1));
    for (const sched::Token token : history) llama_sampler_accept(chain, token);
    std::vector<llama_token_data> data;
    for (std::size_t i = 0; i < logits.size(); ++i) data.push_back({static_cast<llama_token>(i), logits[i], 0});
    llama_token_data_array array{data.data(), data.size(), -1, false};
    llama_sampler_apply(chain, &array);
    std::map<sched::Token, double> probabilities;
    double total = 0;
    for (std::size_t i = 0; i < array.size; ++i) total += std::exp(static_cast<double>(array.data[i].logit));
    for (std::size_t i = 0; i < array.size; ++i) {
        probabilities[array.data[i].id] = std::exp(static_cast<double>(array.data[i].logit)) / total;
    }
    llama_sampler_free(chain);
    return probabilities;
}

TEST(Sampler, DrawsWithTheProbabilitiesOfLlamaCppsChain) {
    const std::vector<std::pair<SamplingParams, const char*>> cases = {
        {params(0.8F, 40, 0.95F, 0.05F), "defaults"}, {params(1.0F, 5, 1.0F, 0.0F), "top_k"},
        {params(1.5F, 0, 0.7F, 0.0F), "top_p alone"}, {params(1.0F, 0, 1.0F, 0.2F), "min_p alone"},
        {params(2.0F, 30, 0.5F, 0.02F), "all, hot"},
    };
    constexpr int kDraws = 20'000;
    for (const auto& [p, name] : cases) {
        for (const bool penalized : {false, true}) {
            SCOPED_TRACE(testing::Message() << name << " penalized " << penalized);
            SamplingParams q = p;
            if (penalized) {
                q.repeat_penalty = 1.3F;
                q.presence_penalty = 0.4F;
                q.frequency_penalty = 0.2F;
            }
            const std::vector<float> logits = random_logits(11, 300);
            std::vector<sched::Token> history;
            for (int i = 0; i < 100; ++i) history.push_back((i * i) % 300);
            QuickSampler sampler(q);
            for (const sched::Token token : history) sampler.accept(token);
            std::map<sched::Token, int> drawn;
            for (int i = 0; i < kDraws; ++i) {
                std::vector<float> copy = logits;
                ++drawn[sampler.sample(copy)];
            }
            const auto expected = reference(logits, q, history);
            for (const auto& [token, count] : drawn) ASSERT_TRUE(expected.contains(token)) << token;
            for (const auto& [token, probability] : expected) {
                const double spread = 5 * std::sqrt(probability * (1 - probability) / kDraws) + 1e-4;
                EXPECT_NEAR(static_cast<double>(drawn[token]) / kDraws, probability, spread) << token;
            }
        }
    }
}

TEST(Sampler, ZeroTemperatureTakesTheLargest) {
    QuickSampler sampler(params(0, 40, 0.95F, 0.05F));
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        std::vector<float> logits = random_logits(seed, 5000);
        const auto largest = std::ranges::max_element(logits) - logits.begin();
        EXPECT_EQ(sampler.sample(logits), largest);
    }
}

TEST(Sampler, TheSameSeedDrawsTheSame) {
    const auto draw = [](std::uint32_t seed) {
        SamplingParams p = params(1.5F, 0, 1.0F, 0.0F);
        p.seed = seed;
        QuickSampler sampler(p);
        std::vector<sched::Token> tokens;
        for (std::uint32_t i = 0; i < 50; ++i) {
            std::vector<float> logits = random_logits(i, 1000);
            tokens.push_back(sampler.sample(logits));
        }
        return tokens;
    };
    EXPECT_EQ(draw(1), draw(1));
    EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, WhatIsNoNumberDrawsNothing) {
    for (const float temperature : {0.0F, 1.0F}) {
        QuickSampler sampler(params(temperature, 40, 0.95F, 0.05F));
        std::vector<float> logits = random_logits(1, 1000);
        logits[500] = std::nanf("");
        EXPECT_EQ(sampler.sample(logits), Sampler::kNoToken);
        std::vector<float> ruled_out(1000, -std::numeric_limits<float>::infinity());
        EXPECT_EQ(sampler.sample(ruled_out), Sampler::kNoToken);
        ruled_out[700] = -5;
        EXPECT_EQ(sampler.sample(ruled_out), 700);
    }
}

TEST(Sampler, ATinyPenaltyMakesNoInfinity) {
    SamplingParams p = params(0, 40, 0.95F, 0.05F);
    p.repeat_penalty = 1e-40F;
    QuickSampler sampler(p);
    sampler.accept(3);
    std::vector<float> logits(100, 1.0F);
    EXPECT_EQ(sampler.sample(logits), 3);
}

}  // namespace
}  // namespace sutazai::llama
