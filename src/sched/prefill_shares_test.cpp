#include "sched/prefill_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sutazai::sched {
namespace {

std::vector<std::pair<std::size_t, int>> shares(std::vector<Prefill> prefills, int budget) {
    std::vector<std::pair<std::size_t, int>> out;
    for (const auto& [index, n_tokens] : share_prefill(prefills, budget)) out.emplace_back(index, n_tokens);
    return out;
}

using Shares = std::vector<std::pair<std::size_t, int>>;

TEST(PrefillShares, OneGetsAll) {
    EXPECT_EQ(shares({{0, Time(5), 300}}, 256), (Shares{{0, 256}}));
}

TEST(PrefillShares, TheOldestGetsHalfAndTheShortestTheRest) {
    EXPECT_EQ(shares({{0, Time(2), 50}, {0, Time(1), 1000}, {0, Time(3), 20}}, 100),
              (Shares{{1, 50}, {2, 20}, {0, 30}}));
}

TEST(PrefillShares, AHigherPriorityCountsAsOlder) {
    EXPECT_EQ(shares({{1, Time(1), 500}, {0, Time(2), 500}}, 100), (Shares{{1, 50}, {0, 50}}));
}

TEST(PrefillShares, WhatOthersLeaveGoesToTheOldest) {
    EXPECT_EQ(shares({{0, Time(1), 500}, {0, Time(2), 10}}, 100), (Shares{{0, 90}, {1, 10}}));
}

TEST(PrefillShares, TheWholeBudgetIsDivided) {
    std::mt19937 random(1);
    for (int round = 0; round < 1000; ++round) {
        std::vector<Prefill> prefills(1 + random() % 6);
        for (Prefill& each : prefills) {
            each = {static_cast<int>(random() % 3), Time(random() % 10), 1 + static_cast<int>(random() % 200)};
        }
        const int budget = static_cast<int>(random() % 300);
        const auto given = shares(prefills, budget);
        ASSERT_EQ(given.size(), prefills.size());
        int sum = 0;
        std::vector<bool> seen(prefills.size());
        for (const auto& [index, n_tokens] : given) {
            ASSERT_GE(n_tokens, 0);
            ASSERT_FALSE(seen[index]);
            seen[index] = true;
            sum += n_tokens;
        }
        ASSERT_EQ(sum, budget);
        ASSERT_GE(given.front().second, std::min(prefills[given.front().first].left, (budget + 1) / 2));
    }
}

TEST(PrefillShares, RowsComeInWholeGroups) {
    EXPECT_EQ(in_whole_groups(3, 16, 4), 17);
    EXPECT_EQ(in_whole_groups(3, 14, 4), 13);
    EXPECT_EQ(in_whole_groups(4, 1, 4), 4) << "never nothing";
    EXPECT_EQ(in_whole_groups(3, 16, 1), 16);
}

}  // namespace
}  // namespace sutazai::sched
