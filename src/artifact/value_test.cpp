#include "artifact/value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

ChainHash name(int i) {
    Sha256 sum;
    sum.add_u32(static_cast<std::uint32_t>(i));
    return sum.finish();
}

Worth worth(int i, int parent, int first, std::uint64_t bytes, std::uint32_t uses, std::int64_t idle_s) {
    return {name(i), name(parent), first, bytes, 1000, uses, idle_s};
}

std::vector<std::size_t> evict(const std::vector<Worth>& all, std::uint64_t limit, std::int64_t retention = 1 << 30) {
    return choose_evictions(all, {retention, limit, 60});
}

TEST(Value, GrowsWithUseAndCostAndFallsWithSizeAndTime) {
    const Worth base = worth(1, 0, 0, 1000, 3, 3600);
    Worth other = base;
    other.uses = 4;
    EXPECT_GT(value_of(other), value_of(base));
    other = base;
    other.compute_us *= 2;
    EXPECT_GT(value_of(other), value_of(base));
    other = base;
    other.bytes *= 2;
    EXPECT_LT(value_of(other), value_of(base));
    other = base;
    other.idle_s += 24 * 3600;
    EXPECT_DOUBLE_EQ(value_of(other), value_of(base) / 2);
    other = base;
    other.idle_s = -100;
    EXPECT_GT(value_of(other), 0) << "a clock that went back";
}

TEST(Value, TheLeastValuableGoFirstAndNoMoreThanNeeded) {
    const std::vector<Worth> all{worth(1, 0, 0, 100, 9, 600), worth(2, 0, 0, 100, 1, 600), worth(3, 0, 0, 100, 5, 600)};
    EXPECT_TRUE(evict(all, 300).empty());
    EXPECT_EQ(evict(all, 299), (std::vector<std::size_t>{1}));
    EXPECT_EQ(evict(all, 100), (std::vector<std::size_t>{1, 2}));
    EXPECT_EQ(evict(all, 0), (std::vector<std::size_t>{1, 2, 0}));
}

TEST(Value, ChainsGoFromTheirEnds) {
    // The last block is the one that is used most; still nothing before it may go first.
    const std::vector<Worth> all{worth(1, 0, 0, 100, 1, 600), worth(2, 1, 256, 100, 1, 600),
                                 worth(3, 2, 512, 100, 50, 600), worth(4, 0, 0, 100, 5, 600)};
    EXPECT_EQ(evict(all, 300), (std::vector<std::size_t>{3}));
    EXPECT_EQ(evict(all, 100), (std::vector<std::size_t>{3, 2, 1}));
}

TEST(Value, WhatHasLostItsBeginningGoesFirst) {
    const std::vector<Worth> all{worth(1, 0, 0, 100, 1, 600), worth(3, 2, 512, 100, 500, 600),
                                 worth(4, 3, 768, 100, 500, 600)};
    EXPECT_EQ(evict(all, 250), (std::vector<std::size_t>{2}));
    EXPECT_EQ(evict(all, 150), (std::vector<std::size_t>{2, 1}));
}

TEST(Value, RetentionAndProtection) {
    const std::vector<Worth> all{worth(1, 0, 0, 100, 9, 1001), worth(2, 0, 0, 100, 1, 1000), worth(3, 0, 0, 100, 1, 5)};
    EXPECT_EQ(evict(all, 1000, 1000), (std::vector<std::size_t>{0}));
    EXPECT_EQ(evict(all, 0, 1000), (std::vector<std::size_t>{0, 1})) << "what was just used stays over any limit";
    EXPECT_EQ(evict(all, 0, 0), (std::vector<std::size_t>{1, 0}));
}

TEST(Value, ABeginningLivesAsLongAsWhatFollows) {
    const std::vector<Worth> all{worth(1, 0, 0, 100, 1, 5000), worth(2, 1, 256, 100, 1, 10)};
    EXPECT_TRUE(evict(all, 0, 1000).empty()) << "the end was just used, so its beginning is needed";
}

TEST(Value, HostileChainsEnd) {
    // Circles, a block that is its own parent, two of one name.
    const std::vector<Worth> all{worth(1, 2, 256, 100, 1, 600), worth(2, 1, 256, 100, 1, 600),
                                 worth(3, 3, 256, 100, 1, 600), worth(3, 3, 0, 100, 1, 600)};
    auto gone = evict(all, 0);
    std::ranges::sort(gone);
    EXPECT_EQ(gone, (std::vector<std::size_t>{0, 1, 2, 3}));
}

TEST(Value, RandomForests) {
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937 random(seed);
        const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
        std::vector<Worth> all;
        for (int i = 1; i <= 60; ++i) {
            const int parent = i == 1 || pick(4) == 0 ? 0 : 1 + pick(i - 1);
            const int first = parent == 0 ? 0 : all[static_cast<std::size_t>(parent - 1)].first + kBlockTokens;
            all.push_back(worth(i, parent, first, static_cast<std::uint64_t>(1 + pick(1000)),
                                static_cast<std::uint32_t>(pick(20)), pick(5000)));
        }
        std::uint64_t total = 0;
        for (const Worth& item : all) total += item.bytes;
        const std::uint64_t limit = random() % total;
        const auto gone = choose_evictions(all, {4000, limit, 60});
        const std::set<std::size_t> set(gone.begin(), gone.end());
        ASSERT_EQ(set.size(), gone.size()) << "seed " << seed;
        std::uint64_t left = total;
        bool all_others_protected = true;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (set.contains(i)) {
                EXPECT_GE(all[i].idle_s, 60) << "seed " << seed;
                left -= all[i].bytes;
            }
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (set.contains(i)) continue;
            // Everything that stays has its whole beginning.
            for (std::size_t j = 0; j < all.size(); ++j) {
                if (all[j].hash == all[i].parent) {
                    EXPECT_FALSE(set.contains(j)) << "seed " << seed;
                }
            }
            bool needed = all[i].idle_s < 60;
            for (std::size_t j = i; j < all.size() && !needed; ++j) {
                if (all[j].idle_s >= 60) continue;
                for (std::size_t k = j; all[k].first > 0;) {
                    k = static_cast<std::size_t>(std::ranges::find(all, all[k].parent, &Worth::hash) - all.begin());
                    needed = needed || k == i;
                }
            }
            all_others_protected = all_others_protected && needed;
        }
        EXPECT_TRUE(left <= limit || all_others_protected) << "seed " << seed;
    }
}

}  // namespace
}  // namespace sutazai::artifact
