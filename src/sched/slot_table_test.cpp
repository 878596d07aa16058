// The slots by themselves; with the scheduler they are checked in its own tests and simulations.
#include "sched/slot_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

namespace sutazai::sched {
namespace {

constexpr int kAll = std::numeric_limits<int>::max();

std::vector<Token> sequence(int n) {
    std::vector<Token> tokens(static_cast<std::size_t>(n));
    std::iota(tokens.begin(), tokens.end(), 0);
    return tokens;
}

/// A request that has its first `n` tokens computed in `slot`.
Request& run(SlotTable& slots, Request& request, SlotId slot, int n, std::uint64_t salt = 0) {
    request.own = sequence(n);
    request.salt = salt;
    request.slot = slot;
    slots.run(slot, request, n);
    return request;
}

TEST(SlotTable, TheLeastRecentOfTheKeptIsTheFirstToGo) {
    SlotTable slots(3);
    EXPECT_EQ(slots.unused(), 0);
    EXPECT_EQ(slots.least_recent_kept(), kNoSlot);
    Request a;
    Request b;
    run(slots, a, 0, 10);
    run(slots, b, 1, 20);
    EXPECT_EQ(slots.unused(), 2);
    EXPECT_EQ(slots.least_recent_kept(), kNoSlot) << "both run";
    slots.keep(1, b.own);
    slots.keep(0, a.own);
    EXPECT_EQ(slots.kept(), 2);
    EXPECT_EQ(slots.least_recent_kept(), 1);
    EXPECT_EQ(slots.least_recent_kept(/*except=*/1), 0);
    slots.use(1);
    EXPECT_EQ(slots.least_recent_kept(), 0);
    slots.clear(0);
    EXPECT_EQ(slots.unused(), 0);
    slots.check();
}

TEST(SlotTable, PrefixesAreFoundWithinATenantOnly) {
    SlotTable slots(3);
    Request mine;
    run(slots, mine, 0, 10, /*salt=*/1);
    EXPECT_EQ(slots.holder(1, sequence(10)), 0);
    EXPECT_EQ(slots.holder(1, sequence(7)), 0);
    EXPECT_EQ(slots.holder(1, sequence(11)), kNoSlot);
    EXPECT_EQ(slots.holder(2, sequence(10)), kNoSlot);
    EXPECT_FALSE(slots.keeps(1, sequence(10))) << "it runs";
    slots.keep_copy(1, sequence(10), 1);
    EXPECT_TRUE(slots.keeps(1, sequence(10)));
    EXPECT_FALSE(slots.keeps(1, sequence(9)));
    slots.check();
}

TEST(SlotTable, APlannedLoadIsNotCertain) {
    SlotTable slots(1);
    Request request;
    request.own = sequence(100);
    request.slot = 0;
    slots.run(0, request, 10);
    slots.add_load({.slot = 0, .first = 10, .n_tokens = 50, .block = 1});
    EXPECT_EQ(slots[0].n_computed, 60);
    EXPECT_EQ(slots.n_certain(0), 10);
    EXPECT_EQ(slots.holder(0, sequence(30)), kNoSlot);
    slots.forget_loads();
    EXPECT_EQ(slots.n_certain(0), 60);
    EXPECT_EQ(slots.holder(0, sequence(30)), 0);
}

TEST(SlotTable, TheLongerOfTwoThatBeginAlikeIsWorthASlot) {
    SlotTable slots(3);
    slots.keep_copy(0, sequence(10), 0);
    slots.keep_copy(1, sequence(20), 0);
    EXPECT_EQ(slots.redundant_beside(1, kAll), std::vector<SlotId>{0});
    EXPECT_EQ(slots.redundant_beside(0, kAll), std::vector<SlotId>{0});
    // Where the longer cannot be cut, the shorter is where another can start.
    EXPECT_TRUE(slots.redundant_beside(1, 15).empty());
    EXPECT_TRUE(slots.redundant_beside(0, 15).empty());
    slots.keep_copy(2, sequence(10), 0);
    EXPECT_EQ(slots.redundant_beside(2, 0), std::vector<SlotId>{2}) << "just this is kept already";
}

}  // namespace
}  // namespace sutazai::sched
