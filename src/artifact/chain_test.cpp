#include "artifact/chain.h"

#include <gtest/gtest.h>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

Digest counting() {
    Digest digest{};
    for (std::size_t i = 0; i < digest.size(); ++i) digest.at(i) = static_cast<std::byte>(i);
    return digest;
}

TEST(Chain, NamesAreThoseOfTheDocument) {
    // From Python's hashlib, by what docs/artifacts.md says.
    EXPECT_EQ(to_hex(chain_root(counting(), "tenant")),
              "13c862f290fe328fd6d377858eb4026cd199619ec46749c48a0bf52037ee1b8f");
    const std::vector<Token> tokens{1, 2, 151935};
    EXPECT_EQ(to_hex(chain_hash(chain_root(counting(), ""), tokens)),
              "83b272ee8b03333367b7c905b331414225d7d32d528ba7631c167b7f67149bc9");
}

TEST(Chain, CutsAtMultiplesOfTheBlock) {
    const ChainHash root = chain_root(counting(), "");
    const auto tokens = testing::tokens_of(600, 1);
    const auto blocks = chain_blocks(root, tokens, true);
    ASSERT_EQ(blocks.size(), 3U);
    EXPECT_EQ(blocks[0].parent, root);
    EXPECT_EQ(blocks[1].first, 256);
    EXPECT_EQ(blocks[2].n_tokens, 600 - 512);
    EXPECT_EQ(blocks[2].parent, blocks[1].hash);
    EXPECT_EQ(blocks[1].hash, chain_hash(blocks[0].hash, std::span(tokens).subspan(256, 256)));
    EXPECT_EQ(chain_blocks(root, tokens, false).size(), 2U);
    EXPECT_EQ(chain_blocks(root, std::span(tokens).first(512), true).size(), 2U);
    EXPECT_TRUE(chain_blocks(root, {}, true).empty());
}

TEST(Chain, AnyDifferenceGivesAnotherName) {
    const ChainHash root = chain_root(counting(), "");
    auto tokens = testing::tokens_of(300, 1);
    const auto before = chain_blocks(root, tokens, true);
    EXPECT_NE(chain_blocks(chain_root(counting(), "a"), tokens, true)[1].hash, before[1].hash) << "tenants";
    Digest other = counting();
    other[31] ^= std::byte{1};
    EXPECT_NE(chain_root(other, ""), root);
    tokens[0] ^= 1;
    const auto after = chain_blocks(root, tokens, true);
    EXPECT_NE(after[0].hash, before[0].hash);
    EXPECT_NE(after[1].hash, before[1].hash) << "the same tokens after another beginning";
    EXPECT_NE(chain_blocks(root, std::span(tokens).first(299), true)[1].hash, after[1].hash) << "a shorter tail";
}

TEST(Hash, HexIsReadStrictly) {
    const std::string hex = to_hex(counting());
    EXPECT_EQ(digest_from_hex(hex), counting());
    EXPECT_FALSE(digest_from_hex(hex.substr(1)));
    EXPECT_FALSE(digest_from_hex(hex + "0"));
    std::string upper = hex;
    upper[21] = 'A';
    EXPECT_FALSE(digest_from_hex(upper)) << "one name, one spelling";
}

}  // namespace
}  // namespace sutazai::artifact
