#include "sched/step_cost.h"

#include <gtest/gtest.h>

namespace sutazai::sched {
namespace {

using std::chrono::microseconds;

TEST(StepCost, LearnsWhatPrefillAddsToADecodeStep) {
    StepCost cost;
    for (int i = 0; i < 50; ++i) {
        cost.observe(4, 0, microseconds(12'000));
        cost.observe(4, 100, microseconds(12'000 + 100 * 2'000));
    }
    EXPECT_NEAR(static_cast<double>(cost.per_prefill_token().count()), 2'000, 20);
    EXPECT_NEAR(cost.prefill_tokens_within(microseconds(50'000)), 25, 1);
}

TEST(StepCost, FollowsAMachineThatSlowsDown) {
    StepCost cost;
    for (int i = 0; i < 50; ++i) cost.observe(0, 512, microseconds(512'000));
    for (int i = 0; i < 50; ++i) cost.observe(0, 512, microseconds(5'120'000));
    EXPECT_NEAR(static_cast<double>(cost.per_prefill_token().count()), 10'000, 100);
}

TEST(StepCost, AlwaysLetsAPromptGetOn) {
    StepCost cost;
    cost.observe(0, 512, microseconds(60'000'000));
    EXPECT_EQ(cost.prefill_tokens_within(microseconds(50'000)), StepCost::kLeastPrefillTokens);
}

}  // namespace
}  // namespace sutazai::sched
