#include "artifact/block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

using testing::buffer_of;
using testing::file_of;
using testing::random_bytes;

BlockInfo golden_info() {
    const Fingerprint fingerprint(testing::parts_of());
    BlockInfo info = testing::chain_of(fingerprint, {10, 20, 30}).front();
    info.compute_us = 7500;
    info.canary = Canary{-0.5F, 2.0F, {{42, 9.5F}, {7, 8.25F}}};
    return info;
}

const std::vector<std::byte> kGoldenPayload = [] {
    std::vector<std::byte> payload(40);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 3);
    return payload;
}();

TEST(Block, ReadsBack) {
    const Fingerprint fingerprint(testing::parts_of());
    for (const int n : {1, 5, 255, 256}) {
        for (const std::size_t size : {1UL, 100UL, 100'000UL, 1'000'000UL}) {
            BlockInfo info = testing::single(fingerprint, n, n);
            if (n % 2 == 1) info.canary = Canary{1, 2, {{3, 4}}};
            const auto payload = random_bytes(size, size);
            const auto encoded = encode_block(info, payload, Compression::kWhenItPays);
            ASSERT_TRUE(encoded) << encoded.error().message;
            EXPECT_EQ(encoded->stored.data(), payload.data()) << "what does not pack is not copied";
            const auto block = decode_block(buffer_of(file_of(*encoded)));
            ASSERT_TRUE(block) << block.error().message;
            EXPECT_EQ(block->info.fingerprint, info.fingerprint);
            EXPECT_EQ(block->info.parent, info.parent);
            EXPECT_EQ(block->info.hash, info.hash);
            EXPECT_EQ(block->info.first, info.first);
            EXPECT_EQ(block->info.tokens, info.tokens);
            EXPECT_EQ(block->info.canary, info.canary);
            EXPECT_EQ(block->info.compute_us, info.compute_us);
            EXPECT_TRUE(std::ranges::equal(block->payload, payload));
        }
    }
}

TEST(Block, PacksWhatPays) {
    const BlockInfo info = golden_info();
    std::vector<std::byte> payload = random_bytes(1'000'000, 1);
    for (std::size_t i = 0; i < payload.size(); i += 2) payload[i] = std::byte{7};
    const auto packed = encode_block(info, payload, Compression::kWhenItPays);
    ASSERT_TRUE(packed);
    EXPECT_LT(packed->bytes(), payload.size() * 3 / 4 + kMaxHeadBytes);
    const auto block = decode_block(buffer_of(file_of(*packed)));
    ASSERT_TRUE(block) << block.error().message;
    EXPECT_TRUE(std::ranges::equal(block->payload, payload));
    EXPECT_FALSE(decode_block(buffer_of(file_of(*packed)), payload.size() - 1)) << "over what the caller allows";

    const auto unpacked = encode_block(info, payload, Compression::kNever);
    EXPECT_EQ(unpacked->stored.size(), payload.size());

    // The samples are all that packs: the whole does not save a quarter and is left as it is.
    payload = random_bytes(1'000'000, 2);
    std::fill_n(payload.begin(), 64 << 10, std::byte{0});
    EXPECT_EQ(encode_block(info, payload, Compression::kWhenItPays)->packed.size(), 0U);
}

TEST(Block, GoldenBytes) {
    const auto encoded = encode_block(golden_info(), kGoldenPayload, Compression::kNever);
    ASSERT_TRUE(encoded);
    const auto file = file_of(*encoded);
    ASSERT_EQ(file.size(), 256U + 40U);
    const auto hex = [&](std::size_t at, std::size_t n) { return to_hex(Bytes(file).subspan(at, n)); };
    EXPECT_EQ(hex(0, 16),
              "89535a4b560d0a1a"
              "01000000"
              "00010000")
        << "magic, version 1, head of 256 bytes";
    EXPECT_EQ(hex(16, 32), to_hex(golden_info().fingerprint));
    EXPECT_EQ(hex(48, 32), to_hex(golden_info().parent));
    EXPECT_EQ(hex(80, 32), to_hex(golden_info().hash));
    EXPECT_EQ(hex(112, 16),
              "00000000"
              "03000000"
              "00000000"
              "02000000")
        << "first, tokens, codec, canary pairs";
    EXPECT_EQ(hex(128, 24),
              "2800000000000000"
              "2800000000000000"
              "4c1d000000000000")
        << "raw, stored, microseconds";
    EXPECT_EQ(hex(152, 8),
              "000000bf"
              "00000040")
        << "mean -0.5, deviation 2";
    EXPECT_EQ(hex(176, 12),
              "0a000000"
              "14000000"
              "1e000000")
        << "tokens";
    EXPECT_EQ(hex(188, 16),
              "2a00000000001841"
              "0700000000000441")
        << "pairs";
    EXPECT_EQ(hex(204, 36), std::string(72, '0')) << "padding";
    EXPECT_EQ(to_hex(sha256(file)), "0fd238c23c36c6d4eff6f42777e35a2b8b4157c07dcd779925e4c0412d3e993a")
        << "the format changed: raise kFormatVersion";
}

TEST(Block, GoldenFileReads) {
    // As version 1 wrote it, whatever this build would write.
    static constexpr std::string_view kFile =
        "89535a4b560d0a1a01000000000100005e2caba2e2b53c68f3c0c2290a2918b7f59635c7731bb1b3a64d0e8a6b7696e1"
        "7a42b9f1e9e732dc784f8230d45d2a55ade8420d1edaabce7a4847998fdf1c54f58886be86eb43b1ff7040ae6f5a6c46"
        "dfd18b48ccbaaf59531ea0d9c768694f0000000003000000000000000200000028000000000000002800000000000000"
        "4c1d000000000000000000bf0000004072e8c08be38c3046d8615021a6175ddc0a000000140000001e0000002a000000"
        "000018410700000000000441000000000000000000000000000000000000000000000000000000000000000000000000"
        "24d522d0bce0d23c880fb439a82917cb000306090c0f1215181b1e2124272a2d303336393c3f4245484b4e5154575a5d"
        "606366696c6f7275";
    std::vector<std::byte> file;
    for (std::size_t i = 0; i < kFile.size(); i += 2) {
        file.push_back(static_cast<std::byte>(std::stoi(std::string(kFile.substr(i, 2)), nullptr, 16)));
    }
    const auto block = decode_block(buffer_of(file));
    ASSERT_TRUE(block);
    EXPECT_TRUE(std::ranges::equal(block->payload, kGoldenPayload));
    EXPECT_EQ(block->info.canary->top[1].logit, 8.25F);
}

TEST(Block, RulesAreEnforced) {
    const auto& payload = kGoldenPayload;
    const auto refused = [&](auto change) {
        BlockInfo info = golden_info();
        change(info);
        const auto encoded = encode_block(info, payload, Compression::kNever);
        return !encoded && encoded.error().code == ErrorCode::kInvalidArgument;
    };
    EXPECT_TRUE(refused([](BlockInfo& i) { i.tokens.clear(); }));
    EXPECT_TRUE(refused([](BlockInfo& i) {
        i.tokens.resize(257);
        i.hash = chain_hash(i.parent, i.tokens);
    }));
    EXPECT_TRUE(refused([](BlockInfo& i) { i.first = 255; }));
    EXPECT_TRUE(refused([](BlockInfo& i) { i.first = -256; }));
    EXPECT_TRUE(refused([](BlockInfo& i) { i.tokens[0] = 11; })) << "not the tokens of that name";
    EXPECT_TRUE(refused([](BlockInfo& i) { i.canary->top.clear(); }));
    EXPECT_TRUE(refused([](BlockInfo& i) { i.canary->top.resize(9); }));
    EXPECT_TRUE(refused([](BlockInfo& i) { i.canary->mean = std::numeric_limits<float>::infinity(); }));
    EXPECT_FALSE(encode_block(golden_info(), {}, Compression::kNever));
}

TEST(Block, HeadAloneTellsWhatItIs) {
    const auto encoded = encode_block(golden_info(), kGoldenPayload, Compression::kNever);
    const auto file = file_of(*encoded);
    const auto head = decode_head(Bytes(file).first(256), file.size());
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->file_bytes(), file.size());
    EXPECT_TRUE(verify_stored(*head, Bytes(file).subspan(256)));
    EXPECT_FALSE(verify_stored(*head, Bytes(file).subspan(255)));
    EXPECT_FALSE(decode_head(Bytes(file).first(256), file.size() + 1)) << "a file that is longer than it says";
}

}  // namespace
}  // namespace sutazai::artifact
