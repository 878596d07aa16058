#include "engine/known_blocks.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sutazai::engine {
namespace {

using Tokens = KnownBlocks::Tokens;
using Hashes = std::vector<artifact::ChainHash>;

/// A chain of whole blocks from `root` on, the same for the same first token.
struct Chain {
    artifact::ChainHash root = artifact::chain_root({}, "");
    Tokens tokens;
    Hashes hashes;

    Chain(std::size_t n_blocks, artifact::Token first) {
        tokens.resize(n_blocks * artifact::kBlockTokens);
        std::iota(tokens.begin(), tokens.end(), first);
        for (const auto& block : artifact::chain_blocks(root, tokens, false)) hashes.push_back(block.hash);
    }
    /// The block at `i` as it is on a disk.
    std::pair<artifact::ChainHash, KnownBlocks::Block> block(std::size_t i) const {
        return {hashes.at(i), {i == 0 ? root : hashes.at(i - 1), static_cast<int>(i) * artifact::kBlockTokens, 10}};
    }
};

TEST(KnownBlocks, AChainBeginsWithWhatIsThere) {
    const Chain chain(3, 0);
    KnownBlocks known;
    EXPECT_TRUE(known.empty());
    known.replace({chain.block(0), chain.block(1), chain.block(2)});
    EXPECT_EQ(known.beginning_of(chain.root, chain.tokens), chain.hashes);
    EXPECT_EQ(known.beginning_of(chain.root, std::span(chain.tokens).first(511)), Hashes{chain.hashes[0]});
    EXPECT_EQ(known.beginning_of(chain.root, Chain(3, 1).tokens), Hashes{});
    known.forget(chain.hashes[1]);
    EXPECT_EQ(known.beginning_of(chain.root, chain.tokens), Hashes{chain.hashes[0]}) << "what follows a gap is no use";
    EXPECT_TRUE(known.contains(chain.hashes[2]));
}

TEST(KnownBlocks, PathsLeadFromTheRoot) {
    const Chain chain(3, 0);
    KnownBlocks known;
    known.replace({chain.block(0), chain.block(1), chain.block(2)});
    EXPECT_EQ(known.path_to(chain.hashes[2], chain.root), chain.hashes);
    EXPECT_EQ(known.path_to(chain.hashes[2], artifact::chain_root({}, "another tenant")), Hashes{});
    EXPECT_EQ(known.path_to(Chain(1, 1).hashes[0], chain.root), Hashes{});
    known.forget(chain.hashes[0]);
    EXPECT_EQ(known.path_to(chain.hashes[2], chain.root), Hashes{});
}

TEST(KnownBlocks, TheBestPathsShareTheRoom) {
    const Chain chain(3, 0);
    const Chain other(1, 1000);
    KnownBlocks known;
    known.replace({chain.block(0), chain.block(1), chain.block(2), other.block(0)});
    const Hashes wanted{chain.hashes[1], chain.hashes[0], other.hashes[0], chain.hashes[2], Chain(1, 5).hashes[0]};
    const auto paths = [&](std::uint64_t most_bytes) { return known.best_paths(wanted, chain.root, most_bytes); };
    EXPECT_EQ(paths(40).within,
              (std::vector<Hashes>{{chain.hashes[0], chain.hashes[1]}, {other.hashes[0]}, chain.hashes}))
        << "what has been taken is taken once";
    EXPECT_EQ(paths(40).without_room, 0U);
    EXPECT_EQ(paths(39).within.size(), 2U);
    EXPECT_EQ(paths(39).without_room, 1U);
    EXPECT_EQ(paths(10).within, (std::vector<Hashes>{{chain.hashes[0]}})) << "the first that there is room for";
    EXPECT_EQ(paths(10).without_room, 3U);
}

TEST(KnownBlocks, SiblingsKeepTheTokensThatWereReadOfThem) {
    const Chain one(1, 0);
    const Chain two(1, 1000);
    KnownBlocks known;
    known.replace({one.block(0), two.block(0)});
    known.set_tokens(one.hashes[0], one.tokens);
    known.set_tokens(Chain(1, 5).hashes[0], one.tokens);
    known.replace({two.block(0), one.block(0)});
    const auto siblings = known.after(one.root, 10);
    ASSERT_EQ(siblings.size(), 2U);
    EXPECT_EQ(siblings[0], (std::pair{two.hashes[0], Tokens{}}));
    EXPECT_EQ(siblings[1], (std::pair{one.hashes[0], one.tokens}));
    EXPECT_EQ(known.after(one.root, 1).size(), 1U);
    EXPECT_TRUE(known.after(one.hashes[0], 10).empty());
    known.add(one.hashes[0], {});
    EXPECT_EQ(known.find(one.hashes[0])->bytes, 10U) << "the first counts";
    known.forget(one.hashes[0]);
    known.forget(one.hashes[0]);
    EXPECT_EQ(known.after(one.root, 10).size(), 1U);
    EXPECT_EQ(known.find(one.hashes[0]), nullptr);
}

}  // namespace
}  // namespace sutazai::engine
