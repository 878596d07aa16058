#include "catalog/gguf_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"
#include "gguf/testing/gguf_bytes.h"

namespace sutazai::catalog {
namespace {

using gguf::Bytes;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4_0 = 2;

Result<GgufSummary> read(const std::string& bytes) {
    std::istringstream in(bytes);
    return read_gguf_summary(in, bytes.size());
}

/// The smallest head that passes, with one tensor of 4 floats.
Bytes with_tensor(const std::function<void(Bytes&)>& put_tensor, std::uint64_t tensors = 1) {
    Bytes bytes;
    bytes.head(3, tensors, 1).text_pair("general.architecture", "llama");
    put_tensor(bytes);
    return bytes;
}

/// Has every kind of value, an array of numbers and one of strings, and two tensors with padding between.
std::string whole_file(std::uint32_t version = 3) {
    Bytes bytes;
    bytes.head(version, 2, 16)
        .text_pair("general.architecture", "qwen2")
        .text_pair("general.name", "Small One")
        .u32_pair("general.file_type", 2)
        .u32_pair("general.alignment", 64)
        .u32_pair("qwen2.context_length", 4096)
        .u32_pair("qwen2.block_count", 2);
    bytes.text("qwen2.embedding_length").u32(10).u64(64);    // 64 bits wide
    bytes.text("qwen2.attention.head_count").u32(5).u32(4);  // signed
    bytes.u32_pair("qwen2.attention.head_count_kv", 2);
    bytes.text("qwen2.rope.freq_base").u32(6).u32(0x49742400);
    bytes.text("tokenizer.ggml.add_bos_token").u32(7).put<std::uint8_t>(1);
    bytes.text("small").u32(3).put<std::uint16_t>(7);
    bytes.text("double").u32(12).u64(0);
    bytes.text("tokenizer.ggml.tokens").u32(9).u32(8).u64(3).text("a").text("").text("bc");
    bytes.text("tokenizer.ggml.token_type").u32(9).u32(5).u64(3).u32(1).u32(1).u32(1);
    bytes.text_pair("tokenizer.chat_template", "{{ messages }}");
    bytes.tensor("token_embd.weight", {32, 3}, kQ4_0, 0).tensor("output_norm.weight", {5}, kF32, 64).pad(64);
    bytes.raw(std::string(54, 'q')).raw(std::string(10, '\0')).raw(std::string(20, 'n'));
    return bytes.str();
}

TEST(GgufFile, ReadsAWholeFile) {
    for (const std::uint32_t version : {2U, 3U}) {
        const std::string bytes = whole_file(version);
        const auto summary = read(bytes);
        ASSERT_TRUE(summary) << summary.error().message;
        EXPECT_EQ(summary->version, version);
        EXPECT_EQ(summary->architecture, "qwen2");
        EXPECT_EQ(summary->name, "Small One");
        EXPECT_EQ(summary->parameters, 101);
        EXPECT_EQ(summary->tensors, 2);
        EXPECT_EQ(summary->context_length, 4096);
        EXPECT_EQ(summary->block_count, 2);
        EXPECT_EQ(summary->embedding_length, 64);
        EXPECT_EQ(summary->head_count, 4);
        EXPECT_EQ(summary->head_count_kv, 2);
        EXPECT_EQ(summary->kv_heads_in_all, 4);
        EXPECT_EQ(summary->key_length, 16);
        EXPECT_EQ(summary->value_length, 16);
        EXPECT_EQ(summary->feed_forward_length, 0);
        EXPECT_EQ(summary->vocabulary, 3);
        EXPECT_EQ(summary->tied_bytes, 54);
        EXPECT_EQ(summary->file_type, 2);
        EXPECT_STREQ(file_type_name(*summary->file_type), "Q4_0");
        EXPECT_TRUE(summary->has_chat_template);
        EXPECT_FALSE(summary->has_pooling_type);
        EXPECT_EQ(summary->tensor_bytes, 84);
        EXPECT_EQ(summary->data_offset + summary->tensor_bytes, bytes.size());
    }
}

TEST(GgufFile, NumbersMayDifferFromLayerToLayer) {
    Bytes bytes;
    bytes.head(3, 1, 7).text_pair("general.architecture", "openelm");
    bytes.text("openelm.attention.head_count_kv").u32(9).u32(5).u64(3).u32(1).u32(2).u32(4);
    bytes.text("openelm.feed_forward_length").u32(9).u32(4).u64(3).u32(10).u32(30).u32(20);
    bytes.u32_pair("openelm.block_count", 3).u32_pair("openelm.attention.key_length", 48);
    bytes.u32_pair("openelm.attention.head_count", 4).u32_pair("openelm.embedding_length", 64);
    bytes.tensor("w", {4}, kF32, 0).pad(32).raw(std::string(16, 'x'));
    const auto summary = read(bytes.str());
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->head_count_kv, 0);
    EXPECT_EQ(summary->kv_heads_in_all, 7);
    EXPECT_EQ(summary->feed_forward_length, 30);
    EXPECT_EQ(summary->key_length, 48);
    EXPECT_EQ(summary->value_length, 16);
}

TEST(GgufFile, AnOutputLayerOfItsOwnMeansNoTiedOne) {
    Bytes bytes;
    bytes.head(3, 2, 1).text_pair("general.architecture", "llama");
    bytes.tensor("output.weight", {4}, kF32, 0).tensor("token_embd.weight", {4}, kF32, 32).pad(32);
    bytes.raw(std::string(48, 'x'));
    const auto summary = read(bytes.str());
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->tied_bytes, 0);
}

TEST(GgufFile, EveryTruncationIsRefused) {
    const std::string bytes = whole_file();
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        const auto summary = read(bytes.substr(0, length));
        ASSERT_FALSE(summary) << length;
        EXPECT_EQ(summary.error().code, ErrorCode::kLoadFailed);
        const bool no_magic = length < 4;
        EXPECT_NE(summary.error().message.find(no_magic ? "no GGUF" : "truncated"), std::string::npos)
            << length << ": " << summary.error().message;
    }
    const auto cut = read(bytes.substr(0, bytes.size() - 1));
    EXPECT_EQ(cut.error().message, "the file is truncated: it has " + std::to_string(bytes.size() - 1) +
                                       " bytes and its tensors need " + std::to_string(bytes.size()));
}

TEST(GgufFile, FlippedBitsNeverLeadOutOfTheFile) {
    const std::string bytes = whole_file();
    const std::uint32_t seed = 20250126;
    std::mt19937 random(seed);
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string damaged = bytes;
        const int flips = 1 + static_cast<int>(random() % 8);
        for (int i = 0; i < flips; ++i) damaged[random() % damaged.size()] ^= static_cast<char>(1U << random() % 8);
        const auto summary = read(damaged);
        if (summary) {
            ++accepted;
            ASSERT_LE(summary->data_offset, damaged.size()) << "seed " << seed << " round " << round;
            ASSERT_LE(summary->tensor_bytes, damaged.size() - summary->data_offset)
                << "seed " << seed << " round " << round;
        } else {
            ASSERT_EQ(summary.error().code, ErrorCode::kLoadFailed);
            ASSERT_FALSE(summary.error().message.empty());
        }
    }
    // Flips within texts and weights change nothing that is looked at; flips elsewhere must be seen.
    EXPECT_GT(accepted, 0);
    EXPECT_LT(accepted, 10000);
}

void expect_refused(const Bytes& bytes, const std::string& message_part) {
    const auto summary = read(bytes.str());
    ASSERT_FALSE(summary) << message_part;
    EXPECT_EQ(summary.error().code, ErrorCode::kLoadFailed);
    EXPECT_NE(summary.error().message.find(message_part), std::string::npos) << summary.error().message;
}

TEST(GgufFile, RefusesWhatIsNoGguf) {
    expect_refused(Bytes().raw("<!DOCTYPE html>"), "no GGUF file");
    expect_refused(Bytes(), "no GGUF file");
    expect_refused(Bytes().head(1, 1, 1), "GGUF version 1");
    expect_refused(Bytes().head(4, 1, 1), "GGUF version 4");
    expect_refused(Bytes().head(0x03000000, 1, 1), "big-endian");
}

TEST(GgufFile, RefusesCountsThatCannotBe) {
    expect_refused(Bytes().head(3, UINT64_MAX, 1), "claims");
    expect_refused(Bytes().head(3, 1, UINT64_MAX), "claims");
    expect_refused(Bytes().head(3, 0, 0), "no tensors");
    expect_refused(Bytes().head(3, 1, 0), "architecture");
    expect_refused(Bytes().head(3, 1, 1).u64(UINT64_MAX), "longer than any");
    expect_refused(Bytes().head(3, 1, 1).text("").u32(4).u32(1), "is empty");
    expect_refused(Bytes().head(3, 1, 2).u32_pair("a", 1).u32_pair("a", 1), "\"a\" is empty or there twice");
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(13), "unknown type 13");
    // Array sizes whose product with the element size wraps around.
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(9).u32(10).u64(1ULL << 61), "truncated");
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(9).u32(8).u64(1ULL << 61), "truncated");
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(9).u32(9).u64(1), "unknown type 9");
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(9).u32(8).u64(1).u64(UINT64_MAX - 7), "longer than any");
    expect_refused(Bytes().head(3, 1, 1).text("k").u32(8).u64(1 << 20), "truncated");
    for (const std::uint32_t alignment : {0U, 48U, 0x80000000U}) {
        expect_refused(
            Bytes().head(3, 1, 2).text_pair("general.architecture", "a").u32_pair("general.alignment", alignment),
            "alignment");
    }
}

TEST(GgufFile, RefusesTensorsThatCannotBe) {
    const auto refused = [](const std::vector<std::uint64_t>& shape, std::uint32_t type, std::uint64_t offset,
                            const std::string& part) {
        expect_refused(with_tensor([&](Bytes& bytes) { bytes.tensor("t", shape, type, offset).pad(32); }), part);
    };
    refused({1ULL << 32, 1ULL << 32}, kF32, 0, "larger than can be");
    refused({1ULL << 62}, kF32, 0, "larger than can be");      // the elements fit, the bytes wrap to 0
    refused({UINT64_MAX / 4}, kF32, 0, "larger than can be");  // the bytes fit, aligned up they wrap
    refused({1ULL << 61}, kF32, 0, "truncated");
    refused({4}, kF32, UINT64_MAX - 15, "not where it should be");
    refused({4}, kF32, 32, "not where it should be");
    refused({4}, 4, 0, "type 4");
    refused({4}, 43, 0, "type 43");
    refused({33}, kQ4_0, 0, "blocks");
    refused({1, 1, 1, 1, 1}, kF32, 0, "5 dimensions");
    refused({4}, kF32, 0, "truncated: it has");
    expect_refused(with_tensor([](Bytes& bytes) { bytes.tensor("t", {4}, kF32, 0).tensor("t", {4}, kF32, 32); }, 2),
                   "there twice");
    expect_refused(with_tensor([](Bytes& bytes) { bytes.tensor("t", {4}, kF32, 0).tensor("u", {4}, kF32, 0); }, 2),
                   "not where it should be");
    expect_refused(with_tensor([](Bytes& bytes) { bytes.tensor(std::string(64, 'n'), {4}, kF32, 0); }),
                   "longer than any");
    expect_refused(
        with_tensor(
            [](Bytes& bytes) { bytes.tensor("t", {1ULL << 61}, kF32, 0).tensor("u", {1ULL << 61}, kF32, 1ULL << 63); },
            2),
        "larger than can be");
}

TEST(GgufFile, MessagesHoldOnlyPrintableText) {
    expect_refused(Bytes().head(3, 1, 1).text("\x1b[31m\xff").u32(99), "\"?[31m?\"");
}

TEST(GgufFile, ReadsFromAPath) {
    const TemporaryFolder temporary;
    const std::string folder = temporary.path().string();
    const std::string path = folder + "/m.gguf";
    const std::string bytes = whole_file();
    std::ofstream(path, std::ios::binary) << bytes;
    const auto summary = read_gguf_summary(path);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->parameters, 101);
    for (const std::string& wrong : {folder, folder + "/missing.gguf"}) {
        const auto refused = read_gguf_summary(wrong);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kLoadFailed);
        EXPECT_EQ(refused.error().message.find(folder), std::string::npos);
    }
}

/// Files of one model in a folder of their own.
class SplitModel : public testing::Test {
  protected:
    /// Part `number` (from 0) of `count`, with one tensor of 4 floats.
    std::string put(int number, int count, const std::string& tensor, const std::string& file = {}) {
        Bytes bytes;
        bytes.head(3, 1, number == 0 ? 4 : 3);
        if (number == 0) bytes.text_pair("general.architecture", "llama");
        bytes.text("split.no").u32(2).put(static_cast<std::uint16_t>(number));
        bytes.text("split.count").u32(2).put(static_cast<std::uint16_t>(count));
        bytes.text("split.tensors.count").u32(5).u32(2);
        bytes.tensor(tensor, {4}, kF32, 0).pad(32).raw(std::string(16, 'w'));
        const auto path = folder_ / (file.empty() ? path_of(number, count) : file);
        std::ofstream(path, std::ios::binary) << bytes.str();
        return path.string();
    }
    static std::string path_of(int number, int count) {
        return "m-0000" + std::to_string(number + 1) + "-of-0000" + std::to_string(count) + ".gguf";
    }
    static std::string refusal(const std::string& path) {
        const auto summary = read_gguf_summary(path);
        return summary ? "" : summary.error().message;
    }

    TemporaryFolder temporary_;
    std::filesystem::path folder_ = temporary_.path();
};

TEST_F(SplitModel, HasTheSumsOfItsParts) {
    const auto path = put(0, 2, "token_embd.weight");
    put(1, 2, "blk.0.w");
    auto summary = read_gguf_summary(path);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->architecture, "llama");
    EXPECT_EQ(summary->tensors, 2);
    EXPECT_EQ(summary->parameters, 8);
    EXPECT_EQ(summary->tensor_bytes, 32);
    EXPECT_EQ(summary->tied_bytes, 16) << "nobody has an output layer";
    put(1, 2, "output.weight");
    summary = read_gguf_summary(path);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->tied_bytes, 0) << "the other part has it";
}

TEST_F(SplitModel, SaysWhichPartIsWrong) {
    const auto path = put(0, 2, "a");
    EXPECT_EQ(refusal(path), "part 2 of 2, m-00002-of-00002.gguf: the file is missing");
    put(0, 2, "b", path_of(1, 2));
    EXPECT_EQ(refusal(path), "part 2 of 2, m-00002-of-00002.gguf: the file says that it is part 1 of 2");
    std::ofstream(folder_ / path_of(1, 2), std::ios::binary) << whole_file();
    EXPECT_EQ(refusal(path),
              "part 2 of 2, m-00002-of-00002.gguf: the file is a whole model by itself; give it another name");
    put(1, 2, "b");
    std::filesystem::resize_file(folder_ / path_of(1, 2), 170);
    EXPECT_TRUE(refusal(path).starts_with("part 2 of 2, m-00002-of-00002.gguf: the file is truncated"))
        << refusal(path);
}

TEST_F(SplitModel, APartByItselfIsNoModel) {
    EXPECT_NE(refusal(put(0, 2, "a", "renamed.gguf")).find("part 1 of 2 of a model"), std::string::npos);
    EXPECT_NE(refusal(put(1, 2, "b")).find("part 2 of 2 of a model"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::catalog
