#include "sched/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace sutazai::sched {
namespace {

using Chain = std::vector<Token>;

/// For each slot the longest common prefix that walk() reports.
std::map<SlotId, int> common(const PrefixTree& tree, const Chain& sequence) {
    std::map<SlotId, int> best;
    tree.walk(sequence, [&](int n, std::span<const SlotId> slots) {
        for (const SlotId slot : slots) best[slot] = std::max(best[slot], n);
    });
    return best;
}

TEST(PrefixTree, FindsHowFarSequencesAgree) {
    PrefixTree tree;
    tree.insert(1, Chain{1, 2, 3, 4});
    tree.insert(2, Chain{1, 2, 9});
    tree.insert(3, Chain{});
    EXPECT_EQ(common(tree, {1, 2, 3, 5}), (std::map<SlotId, int>{{1, 3}, {2, 2}}));
    EXPECT_EQ(common(tree, {7}), (std::map<SlotId, int>{}));
    tree.extend(3, Chain{1, 2, 3, 5, 6});
    EXPECT_EQ(common(tree, {1, 2, 3, 5}), (std::map<SlotId, int>{{1, 3}, {2, 2}, {3, 4}}));
    tree.check();
}

TEST(PrefixTree, JoinsNodesThatNobodySeparatesAnyMore) {
    PrefixTree tree;
    tree.insert(1, Chain{1, 2, 3, 4});
    tree.insert(2, Chain{1, 2, 9});
    EXPECT_EQ(tree.node_count(), 4U);
    tree.remove(2);
    tree.check();
    EXPECT_EQ(tree.node_count(), 2U);
    EXPECT_EQ(tree.length(1), 4);
}

TEST(PrefixTree, AgreesWithComparingEverySequence) {
    for (std::uint32_t seed = 1; seed <= 300; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };
        PrefixTree tree;
        std::map<SlotId, Chain> sequences;
        const auto some = [&] {
            Chain sequence(below(12));
            for (Token& token : sequence) token = below(3);
            return sequence;
        };
        for (int i = 0; i < 80; ++i) {
            const SlotId slot = below(8);
            if (!sequences.contains(slot)) {
                sequences[slot] = some();
                tree.insert(slot, sequences[slot]);
            } else if (below(3) == 0) {
                tree.remove(slot);
                sequences.erase(slot);
            } else {
                const Chain more = some();
                sequences[slot].insert(sequences[slot].end(), more.begin(), more.end());
                tree.extend(slot, more);
            }
            tree.check();
            const Chain asked = some();
            std::map<SlotId, int> expected;
            for (const auto& [id, sequence] : sequences) {
                const auto n = std::ranges::mismatch(sequence, asked).in1 - sequence.begin();
                if (n > 0) expected[id] = static_cast<int>(n);
            }
            ASSERT_EQ(common(tree, asked), expected);
        }
        for (const auto& [id, sequence] : sequences) tree.remove(id);
        EXPECT_EQ(tree.node_count(), 1U);
    }
}

}  // namespace
}  // namespace sutazai::sched
