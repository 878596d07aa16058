// What llama-server can do to a draw beyond the usual chain.
#include "llama/chain_sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "llama/quick_sampler.h"
#include "llama/testing/test_models.h"

namespace sutazai::llama {
namespace {

class ChainSamplerTest : public testing::Test {
  protected:
    static std::unique_ptr<Sampler> chain(MoreSampling more, SamplingParams params = {}) {
        params.seed = params.seed.value_or(11);
        params.more = std::move(more);
        return model().sampler(params);
    }
    static const Model& model() {
        static const std::unique_ptr<Model> loaded = load_test_model("toy", 256);
        return *loaded;
    }
    static std::vector<float> logits(std::uint32_t seed) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal(0, 3);
        std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary));
        for (float& logit : row) logit = normal(random);
        return row;
    }
    static std::map<Token, int> drawn(Sampler& sampler, std::uint32_t seed, int n) {
        std::map<Token, int> counts;
        for (int i = 0; i < n; ++i) {
            std::vector<float> row = logits(seed);
            ++counts[sampler.sample(row)];
        }
        return counts;
    }
};

TEST_F(ChainSamplerTest, WithoutMoreItIsTheQuickOne) {
    EXPECT_NE(dynamic_cast<QuickSampler*>(model().sampler({}).get()), nullptr);
    EXPECT_NE(dynamic_cast<QuickSampler*>(chain({.xtc_threshold = 0.4F}).get()), nullptr);
    EXPECT_NE(dynamic_cast<ChainSampler*>(chain({.typical_p = 0.5F}).get()), nullptr);
}

TEST_F(ChainSamplerTest, TheUsualChainDrawsAsTheQuickOneDoes) {
    const auto slow = chain({.samplers = {"penalties", "top_k", "top_p", "min_p", "temperature"}});
    const auto quick = model().sampler(SamplingParams{.seed = 5});
    constexpr int kDraws = 4000;
    const auto counts = drawn(*slow, 1, kDraws);
    for (const auto& [token, n] : drawn(*quick, 1, kDraws)) {
        const auto found = counts.find(token);
        EXPECT_NEAR(found == counts.end() ? 0 : found->second, n, 200) << token;
    }
}

TEST_F(ChainSamplerTest, OneSeedDrawsOneWay) {
    const MoreSampling more{.xtc_probability = 0.5F, .dynatemp_range = 0.5F};
    const auto first = chain(more);
    const auto second = chain(more);
    for (std::uint32_t i = 0; i < 50; ++i) {
        std::vector<float> a = logits(i);
        std::vector<float> b = a;
        ASSERT_EQ(first->sample(a), second->sample(b));
    }
}

TEST_F(ChainSamplerTest, EachMethodChangesWhatIsDrawn) {
    const auto usual = drawn(
        *model().sampler(SamplingParams{.temperature = 2, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 3}), 2, 1000);
    SamplingParams wide{.temperature = 2, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 3};
    const std::pair<const char*, MoreSampling> narrow[] = {
        {"top_n_sigma", {.top_n_sigma = 0.5F}},
        {"typical_p", {.typical_p = 0.2F}},
        {"mirostat", {.mirostat = 1, .mirostat_tau = 2}},
        {"mirostat 2", {.mirostat = 2, .mirostat_tau = 2}},
        {"samplers", {.samplers = {"top_k"}}},
    };
    for (auto [name, more] : narrow) {
        wide.top_k = more.samplers.empty() ? 0 : 3;
        EXPECT_LT(2 * drawn(*chain(more, wide), 2, 1000).size(), usual.size()) << name;
    }
}

TEST_F(ChainSamplerTest, XtcTakesTheMostLikelyAway) {
    std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary), -20.0F);
    row[40] = 5;
    row[41] = 4.9F;
    row[42] = 4.8F;
    const auto sampler = chain({.xtc_probability = 1, .xtc_threshold = 0.1F}, {.temperature = 1, .seed = 3});
    for (int i = 0; i < 20; ++i) {
        std::vector<float> one = row;
        EXPECT_EQ(sampler->sample(one), 42);
    }
}

TEST_F(ChainSamplerTest, DryBreaksARepetition) {
    // 50 51 52 50 51 -> 52 would repeat.
    const auto sampler =
        chain({.dry_multiplier = 5, .dry_allowed_length = 1, .dry_penalty_last_n = 64}, {.temperature = 0});
    for (const Token token : {50, 51, 52, 50, 51}) sampler->accept(token);
    std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary), 0.0F);
    row[52] = 3;
    row[53] = 2;
    EXPECT_EQ(sampler->sample(row), 53);
}

TEST_F(ChainSamplerTest, TheWindowOfPenaltiesIsTheirs) {
    SamplingParams params{.temperature = 0, .repeat_penalty = 2};
    const auto near = chain({.repeat_last_n = 1}, params);
    const auto far = chain({.repeat_last_n = 100}, params);
    for (Sampler* sampler : {near.get(), far.get()}) {
        sampler->accept(60);
        for (Token token = 100; token < 170; ++token) sampler->accept(token);
    }
    std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary), 0.0F);
    row[60] = 3;
    row[61] = 2;
    std::vector<float> other = row;
    EXPECT_EQ(near->sample(row), 60);
    EXPECT_EQ(far->sample(other), 61);
}

TEST_F(ChainSamplerTest, BiasesComeFirstWithEither) {
    for (const bool slow : {false, true}) {
        SamplingParams params{.temperature = 0};
        params.logit_bias = {{70, -std::numeric_limits<float>::infinity()}, {71, 5}, {1 << 30, 5}};
        const auto sampler = slow ? chain({.min_keep = 2}, params) : model().sampler(params);
        EXPECT_TRUE(sampler->changes_logits());
        std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary), 0.0F);
        row[70] = 100;
        row[72] = 4;
        EXPECT_EQ(sampler->sample(row), 71) << slow;
    }
}

TEST_F(ChainSamplerTest, WhatIsNoNumberSaysNothing) {
    const auto sampler = chain({.typical_p = 0.5F});
    std::vector<float> row = logits(1);
    row[3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(sampler->sample(row), Sampler::kNoToken);
}

TEST_F(ChainSamplerTest, InfillPrefersTheEndWhereThatIsLikely) {
    const auto end = model().token_named("<|im_end|>");
    ASSERT_TRUE(end);
    const auto sampler = chain({.samplers = {"top_k", "top_p", "infill"}}, {.top_k = 40, .top_p = 0.99F});
    std::vector<float> row(static_cast<std::size_t>(model().properties().vocabulary), 0.0F);
    row[static_cast<std::size_t>(*end)] = 6;
    for (int i = 0; i < 20; ++i) {
        std::vector<float> one = row;
        EXPECT_EQ(sampler->sample(one), *end);
    }
}

}  // namespace
}  // namespace sutazai::llama
