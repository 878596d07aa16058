#include "artifact/hot_chains.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sutazai::artifact {
namespace {

constexpr TokenCost kCost{2000, 12288};

std::vector<Token> chain(Token begin, std::size_t n_blocks) {
    std::vector<Token> out(n_blocks * kBlockTokens);
    std::iota(out.begin(), out.end(), begin);
    return out;
}

TEST(HotChains, TheMostUsedIsWrittenFirst) {
    HotChains hot(8);
    hot.note("", chain(0, 1), 0, kCost);
    for (int i = 0; i < 3; ++i) hot.note("", chain(1000, 2), 0, kCost);
    hot.note("", chain(5000, 9), 0, kCost);
    EXPECT_EQ(hot.size(), 3U);
    EXPECT_EQ(hot.best(0, kCost).tokens, chain(1000, 2));
    hot.drop(hot.best(0, kCost));
    EXPECT_NE(hot.best(0, kCost).tokens, chain(1000, 2));
    EXPECT_EQ(hot.size(), 2U);
}

TEST(HotChains, OldUseFades) {
    constexpr std::int64_t kDay = 24 * 3600;
    HotChains hot(8);
    for (int i = 0; i < 4; ++i) hot.note("", chain(0, 1), 0, kCost);
    for (int i = 0; i < 2; ++i) hot.note("", chain(1000, 1), 3 * kDay, kCost);
    EXPECT_EQ(hot.best(3 * kDay, kCost).tokens, chain(1000, 1));
}

TEST(HotChains, AChainAndItsBeginningAreOneNeed) {
    HotChains hot(8);
    hot.note("", chain(0, 2), 0, kCost);
    hot.note("", chain(0, 1), 0, kCost);
    ASSERT_EQ(hot.size(), 1U);
    HotChain& one = hot.best(0, kCost);
    EXPECT_EQ(one.uses, 2U);
    one.n_done = kBlockTokens;
    hot.note("", chain(0, 3), 0, kCost);
    ASSERT_EQ(hot.size(), 1U);
    EXPECT_EQ(hot.best(0, kCost).tokens, chain(0, 3));
    EXPECT_EQ(hot.best(0, kCost).next().size(), 2U * kBlockTokens) << "goes on where it was";
}

TEST(HotChains, TenantsAreApart) {
    HotChains hot(8);
    hot.note("a", chain(0, 1), 0, kCost);
    hot.note("b", chain(0, 1), 0, kCost);
    EXPECT_EQ(hot.size(), 2U);
}

TEST(HotChains, TheLeastValuableMakesWay) {
    HotChains hot(3);
    for (Token i = 0; i < 3; ++i) {
        for (int use = 0; use <= i; ++use) hot.note("", chain(i * 1000, 1), 0, kCost);
    }
    hot.note("", chain(9000, 1), 10, kCost);
    ASSERT_EQ(hot.size(), 3U);
    std::vector<std::vector<Token>> in_order;
    while (!hot.empty()) {
        in_order.push_back(hot.best(10, kCost).tokens);
        hot.drop(hot.best(10, kCost));
    }
    EXPECT_EQ(in_order, (std::vector{chain(2000, 1), chain(1000, 1), chain(9000, 1)}));
}

TEST(HotChains, IsDoneBlockByBlock) {
    HotChains hot(2);
    hot.note("", chain(0, 2), 0, kCost);
    HotChain& one = hot.best(0, kCost);
    EXPECT_FALSE(one.done());
    EXPECT_EQ(one.next().size(), static_cast<std::size_t>(kBlockTokens));
    one.n_done += 2 * kBlockTokens;
    EXPECT_TRUE(one.done());
}

}  // namespace
}  // namespace sutazai::artifact
