#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

using testing::buffer_of;
using testing::file_of;

constexpr std::uint64_t kMostPayload = 1 << 20;

std::vector<std::byte> a_file(bool packed, bool with_canary) {
    const Fingerprint fingerprint(testing::parts_of());
    BlockInfo info = testing::chain_of(fingerprint, testing::tokens_of(261, 3)).back();
    if (with_canary) info.canary = Canary{0, 1, {{1, 2.5F}, {9, 2.25F}}};
    auto payload = testing::random_bytes(300, 1);
    if (packed) std::fill(payload.begin(), payload.begin() + 200, std::byte{1});
    const auto encoded = encode_block(info, payload, packed ? Compression::kWhenItPays : Compression::kNever);
    EXPECT_EQ(encoded->packed.size() > 0, packed);
    return file_of(*encoded);
}

/// A head's hash made right again, as somebody would who wants the file to be read.
void seal(std::vector<std::byte>& file) {
    std::uint32_t head_bytes = 0;
    std::memcpy(&head_bytes, &file[12], 4);
    if (head_bytes < 192 || head_bytes > file.size()) return;
    const Checksum payload = xxh3(Bytes(file).subspan(head_bytes));
    std::ranges::copy(payload, file.begin() + 160);
    const Checksum head = xxh3(Bytes(file).first(head_bytes - 16));
    std::ranges::copy(head, file.begin() + head_bytes - 16);
}

class BlockFuzz : public ::testing::TestWithParam<std::pair<bool, bool>> {
  protected:
    std::vector<std::byte> file_ = a_file(GetParam().first, GetParam().second);
};

TEST_P(BlockFuzz, EveryFlippedBitIsNoticed) {
    ASSERT_TRUE(decode_block(buffer_of(file_), kMostPayload));
    for (std::size_t bit = 0; bit < file_.size() * 8; ++bit) {
        auto damaged = file_;
        damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        const auto block = decode_block(buffer_of(damaged), kMostPayload);
        ASSERT_FALSE(block) << "bit " << bit;
        EXPECT_EQ(block.error().code, ErrorCode::kLoadFailed);
    }
}

TEST_P(BlockFuzz, EveryTruncationIsNoticed) {
    for (std::size_t n = 0; n < file_.size(); ++n) {
        ASSERT_FALSE(decode_block(buffer_of(Bytes(file_).first(n)), kMostPayload)) << n;
    }
    for (const std::size_t more : {1U, 16U, 4096U}) {
        auto longer = file_;
        longer.resize(file_.size() + more);
        ASSERT_FALSE(decode_block(buffer_of(longer), kMostPayload)) << more;
    }
}

TEST_P(BlockFuzz, RandomDamageIsNoticed) {
    for (unsigned seed = 0; seed < 5000; ++seed) {
        std::mt19937 random(seed);
        auto damaged = file_;
        const unsigned n = 1 + random() % 20;
        for (unsigned i = 0; i < n; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        if (damaged == file_) continue;
        ASSERT_FALSE(decode_block(buffer_of(damaged), kMostPayload)) << "seed " << seed;
    }
}

/// Whatever the numbers in a file with right hashes are: an error, or a block that keeps its rules. Under the
/// sanitizers this also shows that nothing is read or allocated by an unchecked number.
TEST_P(BlockFuzz, HostileFilesAreHarmless) {
    static constexpr std::uint64_t kValues[] = {0,         1,          2,          255,        256,         257,  65535,
                                                1U << 30U, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 40U, ~0ULL};
    int accepted = 0;
    for (unsigned seed = 0; seed < 20000; ++seed) {
        std::mt19937 random(seed);
        auto hostile = file_;
        const unsigned n = 1 + random() % 3;
        for (unsigned i = 0; i < n; ++i) {
            if (random() % 2 == 0) {
                const std::uint64_t value = kValues[random() % std::size(kValues)];
                const std::size_t width = random() % 2 == 0 ? 4 : 8;
                const std::size_t at = 112 + random() % (hostile.size() - 112 - width);
                std::memcpy(&hostile[at / 4 * 4], &value, width);
            } else {
                hostile[112 + random() % (hostile.size() - 112)] = static_cast<std::byte>(random());
            }
        }
        if (random() % 8 == 0) hostile.resize(random() % (2 * hostile.size()));
        if (hostile.size() >= 192) seal(hostile);
        const auto block = decode_block(buffer_of(hostile), kMostPayload);
        if (!block) continue;
        ++accepted;
        EXPECT_LE(block->payload.size(), kMostPayload);
        EXPECT_FALSE(block->payload.empty());
        EXPECT_EQ(block->info.hash, chain_hash(block->info.parent, block->info.tokens));
        EXPECT_EQ(block->info.first % kBlockTokens, 0);
        EXPECT_LE(block->info.tokens.size(), static_cast<std::size_t>(kBlockTokens));
    }
    EXPECT_GT(accepted, 0) << "no hostile file got past the hashes: the test tests nothing";
}

INSTANTIATE_TEST_SUITE_P(Kinds, BlockFuzz,
                         ::testing::Values(std::pair(false, false), std::pair(false, true), std::pair(true, true)));

TEST(BlockFuzz, NoiseIsRefused) {
    for (unsigned seed = 0; seed < 2000; ++seed) {
        ASSERT_FALSE(decode_block(buffer_of(testing::random_bytes(seed % 3000, seed)), kMostPayload));
    }
}

}  // namespace
}  // namespace sutazai::artifact
