#include "sched/linear_cost.h"

#include <gtest/gtest.h>

namespace sutazai::sched {
namespace {

using std::chrono::microseconds;

TEST(LinearCost, IsNothingBeforeTheFirstMeasurement) {
    const LinearCost cost;
    EXPECT_FALSE(cost.known());
    EXPECT_EQ(cost.of(100), microseconds(0));
}

TEST(LinearCost, FindsTheFixedPartAndTheSlope) {
    LinearCost cost;
    for (int i = 0; i < 40; ++i) {
        const int n = 32 + 40 * (i % 6);
        cost.observe(n, microseconds(700 + 5 * n));
    }
    EXPECT_NEAR(static_cast<double>(cost.of(32).count()), 860, 10);
    EXPECT_NEAR(static_cast<double>(cost.of(4000).count()), 20700, 100);
}

TEST(LinearCost, OneSizeIsScaledInProportion) {
    LinearCost cost;
    for (int i = 0; i < 5; ++i) cost.observe(256, microseconds(1024));
    EXPECT_EQ(cost.of(64), microseconds(256));
    EXPECT_EQ(cost.of(512), microseconds(2048));
}

TEST(LinearCost, FollowsAMachineThatChanges) {
    LinearCost cost;
    for (int i = 0; i < 50; ++i) cost.observe(100 + i, microseconds(100 + i));
    for (int i = 0; i < 50; ++i) cost.observe(100 + i, microseconds(10 * (100 + i)));
    EXPECT_NEAR(static_cast<double>(cost.of(120).count()), 1200, 60);
}

TEST(LinearCost, NoiseNeverMakesMoreTokensCheaper) {
    LinearCost cost;
    cost.observe(32, microseconds(9000));
    cost.observe(256, microseconds(100));
    EXPECT_GE(cost.of(256), cost.of(32));
    EXPECT_GT(cost.of(32), microseconds(0));
}

}  // namespace
}  // namespace sutazai::sched
