#include "models/model_status.h"

#include <gtest/gtest.h>

#include <vector>

namespace sutazai::models {
namespace {

TEST(CacheSummary, AddsUp) {
    ModelStatus warm;
    warm.state = ModelState::kWarm;
    warm.requests = 8;
    warm.found_warm = 7;
    warm.stats.prompt_tokens = 100;
    warm.stats.cached_tokens = 40;
    warm.measured_bytes = 3 << 19;
    ModelStatus cold;
    cold.requests = 2;
    cold.expected_bytes = 5 << 20;
    ModelStatus unmeasured;
    unmeasured.state = ModelState::kWarm;
    unmeasured.expected_bytes = 1 << 20;
    const CacheSummary sum = summarize(std::vector{warm, cold, unmeasured});
    EXPECT_EQ(sum.total_models, 3U);
    EXPECT_EQ(sum.warmed_models, 2U);
    EXPECT_EQ(sum.hit_rate_percent, 70);
    EXPECT_EQ(sum.prefix_hit_rate_percent, 40);
    EXPECT_EQ(sum.total_size_mb, 2.5);
    ModelStatus alias = warm;
    alias.alias_of = "warm";
    EXPECT_EQ(summarize(std::vector{warm, alias}).total_models, 2U);
    EXPECT_EQ(summarize(std::vector{warm, alias}).warmed_models, 1U) << "one engine counts once";
    EXPECT_EQ(summarize({}).hit_rate_percent, 0);
}

}  // namespace
}  // namespace sutazai::models
