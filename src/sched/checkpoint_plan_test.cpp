#include "sched/checkpoint_plan.h"

#include <gtest/gtest.h>

namespace sutazai::sched {
namespace {

TEST(CheckpointPlan, StopsInOrderAndOnceAtEach) {
    CheckpointPlan plan;
    plan.add(300);
    plan.add(100);
    plan.add(300);
    EXPECT_EQ(plan.next(0, 500), 100);
    EXPECT_EQ(plan.next(100, 500), 300);
    EXPECT_EQ(plan.next(300, 500), 500);
    EXPECT_FALSE(plan.take(99));
    EXPECT_TRUE(plan.take(300));
    EXPECT_FALSE(plan.take(300));
    EXPECT_EQ(plan.next(100, 500), 500);
}

TEST(CheckpointPlan, TakesOnlySoMany) {
    CheckpointPlan plan;
    for (int i = 1; i <= 20; ++i) plan.add(10 * i);
    int stops = 0;
    for (int at = 0; plan.next(at, 1000) != 1000; at = plan.next(at, 1000)) ++stops;
    EXPECT_EQ(stops, static_cast<int>(CheckpointPlan::kMost));
}

}  // namespace
}  // namespace sutazai::sched
