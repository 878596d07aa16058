#include "sched/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

namespace sutazai::sched {
namespace {

constexpr int kBlock = kBlockTokens;

std::vector<Token> sequence(int n, Token first = 0) {
    std::vector<Token> tokens(static_cast<std::size_t>(n));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

/// Adds all missing blocks of the sequence, a byte a token; returns what was dropped.
std::vector<BlockId> add_all(BlockCache& cache, const std::vector<Token>& tokens, std::uint64_t salt = 0) {
    std::vector<BlockId> dropped;
    const int n = static_cast<int>(tokens.size());
    for (int first = cache.covered(salt, tokens); first < n; first += kBlock) {
        const int end = std::min(first + kBlock, n);
        if (cache.add(salt, std::span(tokens).first(static_cast<std::size_t>(end)),
                      static_cast<std::uint64_t>(end - first), dropped) == kNoBlock) {
            break;
        }
    }
    cache.check();
    return dropped;
}

int held(const BlockCache& cache, const std::vector<Token>& tokens, std::uint64_t salt = 0) {
    int n = 0;
    for (const auto& piece : cache.find(salt, tokens)) n += piece.n_tokens;
    return n;
}

TEST(BlockCache, FindsTheLongestCommonBeginning) {
    BlockCache cache(10'000);
    add_all(cache, sequence(600));
    EXPECT_EQ(cache.count(), 3);
    EXPECT_EQ(held(cache, sequence(600)), 600);
    EXPECT_EQ(held(cache, sequence(1000)), 600);
    EXPECT_EQ(held(cache, sequence(300)), 300);
    std::vector<Token> other = sequence(600);
    other[400] = -1;
    EXPECT_EQ(held(cache, other), 400);
    EXPECT_EQ(held(cache, sequence(600, 1)), 0);
    EXPECT_EQ(held(cache, sequence(600), /*salt=*/7), 0);
}

TEST(BlockCache, SharesWhatSequencesHaveInCommon) {
    BlockCache cache(10'000);
    std::vector<Token> one = sequence(2 * kBlock);
    std::vector<Token> two = one;
    one.push_back(-1);
    two.push_back(-2);
    add_all(cache, one);
    add_all(cache, two);
    EXPECT_EQ(cache.count(), 4);
    EXPECT_EQ(cache.bytes(), 2U * kBlock + 2);
    EXPECT_EQ(cache.covered(0, one), 2 * kBlock + 1);
    EXPECT_EQ(cache.covered(0, sequence(2 * kBlock + 50)), 2 * kBlock);
}

TEST(BlockCache, ALongerLastBlockReplacesTheOneThatItContinues) {
    BlockCache cache(10'000);
    add_all(cache, sequence(300));
    const auto before = cache.find(0, sequence(300));
    const auto dropped = add_all(cache, sequence(310));
    EXPECT_EQ(dropped, (std::vector<BlockId>{before[1].block}));
    EXPECT_EQ(cache.bytes(), 310U);
    EXPECT_EQ(cache.covered(0, sequence(290)), 290);  // a shorter one is covered by it
}

TEST(BlockCache, GivesUpTheLeastRecentlyUsedLeafFirst) {
    BlockCache cache(3 * kBlock);
    add_all(cache, sequence(2 * kBlock));
    add_all(cache, sequence(kBlock, 5000));
    cache.touch(cache.find(0, sequence(2 * kBlock)).back().block);
    // The sequence of its own is older than the leaf of the first.
    const auto dropped = add_all(cache, sequence(kBlock, 9000));
    EXPECT_EQ(dropped.size(), 1U);
    EXPECT_EQ(held(cache, sequence(kBlock, 5000)), 0);
    EXPECT_EQ(held(cache, sequence(2 * kBlock)), 2 * kBlock);
    add_all(cache, sequence(kBlock, 12000));
    EXPECT_EQ(held(cache, sequence(2 * kBlock)), kBlock) << "a parent went before its child";
}

TEST(BlockCache, NeverDropsWhatANewBlockContinues) {
    BlockCache cache(kBlock + 10);
    EXPECT_EQ(add_all(cache, sequence(kBlock + 40)).size(), 0U);
    EXPECT_EQ(held(cache, sequence(kBlock + 40)), kBlock);
    EXPECT_EQ(add_all(cache, sequence(kBlock + 10)).size(), 0U);
    EXPECT_EQ(held(cache, sequence(kBlock + 10)), kBlock + 10);
}

TEST(BlockCache, RemovesABlockWithAllThatContinueIt) {
    BlockCache cache(10'000);
    add_all(cache, sequence(3 * kBlock));
    std::vector<BlockId> dropped;
    cache.remove(cache.find(0, sequence(3 * kBlock))[1].block, dropped);
    EXPECT_EQ(dropped.size(), 2U);
    EXPECT_EQ(held(cache, sequence(3 * kBlock)), kBlock);
    cache.check();
}

TEST(BlockCache, RandomUseAgreesWithAListOfSequences) {
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random(seed);
        const auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };
        BlockCache cache(static_cast<std::uint64_t>(200 + below(4000)));
        std::map<BlockId, std::vector<Token>> truth;  // whole sequence up to the block's end
        for (int i = 0; i < 60; ++i) {
            std::vector<Token> tokens = sequence(1 + below(900), below(3) * 10'000);
            if (below(2) == 0) tokens[static_cast<std::size_t>(below(static_cast<int>(tokens.size())))] = -below(3) - 1;
            std::vector<BlockId> dropped;
            const int n = static_cast<int>(tokens.size());
            for (int first = cache.covered(0, tokens); first < n; first += kBlock) {
                const auto end = static_cast<std::size_t>(std::min(first + kBlock, n));
                const BlockId id =
                    cache.add(0, std::span(tokens).first(end), end - static_cast<std::size_t>(first), dropped);
                if (id == kNoBlock) break;
                truth[id].assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(end));
            }
            for (const BlockId id : dropped) ASSERT_EQ(truth.erase(id), 1U);
            ASSERT_NO_FATAL_FAILURE(cache.check());
            ASSERT_EQ(static_cast<int>(truth.size()), cache.count());
            const std::vector<Token> asked = sequence(1 + below(900), below(3) * 10'000);
            int best = 0;
            for (const auto& [id, whole] : truth) {
                best = std::max(best, static_cast<int>(std::ranges::mismatch(whole, asked).in1 - whole.begin()));
            }
            ASSERT_EQ(held(cache, asked), best);
            if (const auto pieces = cache.find(0, asked); !pieces.empty() && below(2) == 0)
                cache.touch(pieces.back().block);
        }
    }
}

}  // namespace
}  // namespace sutazai::sched
