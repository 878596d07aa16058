#include "models/memory_estimate.h"

#include "models/engine_settings.h"

#include <gtest/gtest.h>

#include <limits>

namespace sutazai::models {
namespace {

catalog::GgufSummary half_a_billion() {
    catalog::GgufSummary model;
    model.tensor_bytes = 350'000'000;
    model.context_length = 32768;
    model.block_count = 24;
    model.embedding_length = 896;
    model.feed_forward_length = 4864;
    model.head_count = 14;
    model.head_count_kv = 2;
    model.kv_heads_in_all = 48;
    model.key_length = 64;
    model.value_length = 64;
    model.vocabulary = 151'936;
    model.tied_bytes = 76'000'000;
    return model;
}

TEST(MemoryEstimate, FollowsTheFormula) {
    const MemoryEstimate estimate = estimate_memory(half_a_billion(), {.batch_size = 8, .batch_size_max = 32});
    EXPECT_EQ(estimate.weights, 426'000'000U);
    EXPECT_EQ(estimate.kv, 16384ULL * 48 * 128 * 2) << "8 sequences of 2048 tokens";
    EXPECT_EQ(estimate.compute, 4ULL * 512 * (3 * 4864 + 8 * 896 + 16384) + 8ULL * 32 * 151'936);
    EXPECT_EQ(estimate.process, kProcessBytes + 151'936 * kBytesPerToken);
    EXPECT_EQ(estimate.total(), estimate.weights + estimate.kv + estimate.compute + estimate.process);
}

TEST(MemoryEstimate, TheSettingsCount) {
    EXPECT_EQ(estimate_memory(half_a_billion(), {.context_tokens = 1000}).kv, 1024ULL * 48 * 128 * 2);
    EXPECT_EQ(estimate_memory(half_a_billion(), {.batch_size = 64}).kv, 65536ULL * 48 * 128 * 2);
}

TEST(MemoryEstimate, AModelMayBeLoadedInItsOwnWay) {
    const EngineShape server{.context_tokens = 0, .batch_size = 8};
    const auto cells = [&](const catalog::LoadChoices& choices, EngineShape shape) {
        return shape_of(shape, choices, 32'768).context_tokens;
    };
    EXPECT_EQ(cells({}, server), 0U) << "the engine chooses";
    EXPECT_EQ(cells({.context_tokens = 100}, server), 100U);
    EXPECT_EQ(cells({.least_context_tokens = 2048}, server), 16'384U) << "as many as usual are enough";
    EXPECT_EQ(cells({.least_context_tokens = 20'000}, server), 20'000U);
    EXPECT_EQ(cells({.least_context_tokens = 1'000'000}, server), 32'768U) << "no more than it was trained for";
    EXPECT_EQ(cells({.least_context_tokens = 8192}, {.context_tokens = 4096}), 8192U);
    EXPECT_EQ(cells({.least_context_tokens = 2048}, {.context_tokens = 4096}), 4096U);
    const std::uint64_t usual = estimate_memory(half_a_billion(), server).kv;
    EXPECT_EQ(estimate_memory(half_a_billion(), shape_of(server, {.kv_type = "f32"}, 0)).kv, usual * 2);
    EXPECT_EQ(estimate_memory(half_a_billion(), shape_of(server, {.kv_type = "q8_0"}, 0)).kv, usual * 34 / 64);
}

TEST(MemoryEstimate, WhatAHostileFileClaimsDoesNotWrap) {
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    catalog::GgufSummary model;
    model.tensor_bytes = model.context_length = model.kv_heads_in_all = model.key_length = kMost;
    model.value_length = model.embedding_length = model.feed_forward_length = model.vocabulary = kMost;
    EXPECT_GT(estimate_memory(model, {}).total(), kMost / 16);
    EXPECT_EQ(estimate_memory({}, {}).kv, 0U);
}

}  // namespace
}  // namespace sutazai::models
