#include "gguf/translate.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

#include "base/testing/temporary_folder.h"
#include "gguf/draft.h"
#include "gguf/testing/aged_files.h"
#include "gguf/virtual_file.h"

namespace sutazai::gguf {
namespace {

struct Translated {
    Outline outline;
    std::optional<Translation> translation;
};

Result<Translated> translated(const std::string& bytes) {
    std::istringstream in(bytes);
    auto outline = read_outline(in, bytes.size());
    if (!outline) return std::unexpected(outline.error());
    auto translation = translate(*outline, in);
    if (!translation) return std::unexpected(translation.error());
    return Translated{std::move(*outline), std::move(*translation)};
}

std::string refusal(const std::string& bytes) {
    const auto result = translated(bytes);
    return result ? "" : result.error().message;
}

TEST(Translate, EachFamilyOnceAndNotAgain) {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "m.gguf").string();
    for (const std::string& bytes : aged_files()) {
        const auto once = translated(bytes);
        ASSERT_TRUE(once) << once.error().message;
        ASSERT_TRUE(once->translation) << once->outline.architecture();
        EXPECT_FALSE(once->outline.has_tensors_of("v."));
        std::ofstream(path, std::ios::binary) << bytes;
        const auto file = VirtualFile::translated(path);
        ASSERT_TRUE(file && *file);
        EXPECT_EQ((*file)->translation().id(), once->translation->id());
        std::string written((*file)->size(), '\0');
        ASSERT_EQ((*file)->read(0, written.data(), written.size()), written.size());
        const auto again = translated(written);
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_FALSE(again->translation) << "what was written is proper: " << once->outline.architecture();
        EXPECT_EQ(again->outline.architecture(), once->outline.architecture());
        EXPECT_EQ(again->outline.tensor_bytes, once->outline.tensor_bytes);
        ASSERT_EQ(again->outline.tensors.size(), once->outline.tensors.size());
        for (std::size_t i = 0; i < again->outline.tensors.size(); ++i) {
            EXPECT_EQ(again->outline.tensors[i].name, once->outline.tensors[i].name);
        }
    }
}

TEST(Translate, OthersAreLeftAlone) {
    const auto put = [](Bytes& bytes) { bytes.text_pair("tokenizer.ggml.pre", "llama-bpe"); };
    for (const char* architecture : {"llama", "qwen2", "gpt-oss", "phi3", "qwen3"}) {
        const auto result = translated(small_file(architecture, 1, put, {{"w"}}));
        ASSERT_TRUE(result);
        EXPECT_FALSE(result->translation) << architecture;
        EXPECT_TRUE(needs_no_translation(result->outline)) << architecture;
    }
    // A Llama without a pre-tokenizer that is no Llama 3: its words are others.
    const auto result = translated(small_file("llama", 2, [](Bytes& bytes) { put_words(bytes, 9); }, {{"w"}}));
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->translation);
    EXPECT_FALSE(needs_no_translation(result->outline)) << "that needed a look";
}

TEST(Translate, APartOfASplitModelIsLeftAlone) {
    const auto put = [](Bytes& bytes) {
        bytes.u32_pair("split.count", 2).u32_pair("split.no", 0).u32_pair("split.tensors.count", 2);
    };
    const auto result = translated(small_file("olmo3", 3, put, {{"w"}}));
    ASSERT_TRUE(result);
    EXPECT_FALSE(result->translation);
}

TEST(Translate, RefusesWithAReasonAndAWayOut) {
    const auto nothing = [](Bytes&) {};
    const auto expect = [](const std::string& found, const std::string& reason) {
        EXPECT_NE(found.find(reason), std::string::npos) << found;
        EXPECT_NE(found.find("from hf.co loads"), std::string::npos) << found;
    };
    expect(refusal(small_file("gptoss", 0, nothing, {{"blk.0.ffn_gate_up_exps.weight", {32, 3, 2}}})),
           "no pairs of a gate");
    expect(refusal(small_file("glmocr", 0, nothing, {{"blk.0.ffn_up.weight"}})), "gates do not belong");
    expect(refusal(small_file("gemma3", 0, nothing, {{"dense.0.weight", {8, 8}}})), "dense layers");
    expect(refusal(small_file("llama4", 0, nothing, {{"v.x"}})), "no tensors for text");
    expect(refusal(small_file("glm4moelite", 0, nothing, {{"w"}})), "how wide a head");
    expect(refusal(small_file("deepseekocr", 0, nothing, {{"w"}})), "no experts");
    expect(refusal(small_file("gptoss", 0, nothing, {{"blk.0.attn_sinks"}, {"blk.0.attn_sinks.weight"}})),
           "\"blk.0.attn_sinks.weight\" would be there twice");
    expect(refusal(small_file("gptoss", 0, nothing, {{"blk.0.ffn_norm." + std::string(44, 'x')}})), "too long a name");
    EXPECT_NE(refusal(small_file("mllama", 0, nothing, {{"w"}})).find("mllama"), std::string::npos);
}

TEST(Translate, WhatIsUnderBothNamesCountsOnce) {
    const auto put = [](Bytes& bytes) {
        bytes.u32_pair("olmo3.block_count", 1).u32_pair("olmo2.block_count", 2).u32_pair("olmo3.context_length", 3);
    };
    const auto result = translated(small_file("olmo3", 3, put, {{"w"}}));
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->outline.number("olmo2.block_count"), 2);
    EXPECT_EQ(result->outline.number("olmo2.context_length"), 3);
    EXPECT_FALSE(result->outline.has("olmo3.block_count"));
}

/// Whatever a file says: an error that says something, or an outline whose every byte lies in the file, and that is
/// read again from the file that it makes.
TEST(Translate, FlippedBitsNeverLeadOutOfTheFile) {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "m.gguf").string();
    const std::uint32_t seed = 20261126;
    std::mt19937 random(seed);
    int n_translated = 0;
    const std::vector<std::string> files = aged_files();
    for (int round = 0; round < 20000; ++round) {
        std::string damaged = files[random() % files.size()];
        const std::size_t most = random() % 2 == 0 ? damaged.size() : std::min<std::size_t>(damaged.size(), 200);
        const int flips = static_cast<int>(random() % 6);
        for (int i = 0; i < flips; ++i) damaged[random() % most] ^= static_cast<char>(1U << random() % 8);
        const auto result = translated(damaged);
        if (!result) {
            ASSERT_EQ(result.error().code, ErrorCode::kLoadFailed);
            ASSERT_FALSE(result.error().message.empty());
            continue;
        }
        if (!result->translation) continue;
        ++n_translated;
        for (const Tensor& tensor : result->outline.tensors) {
            for (const Piece& piece : tensor.all_pieces()) {
                ASSERT_TRUE(piece.end()) << "seed " << seed << " round " << round;
                ASSERT_LE(*piece.end(), damaged.size()) << "seed " << seed << " round " << round;
            }
        }
        if (round % 16 != 0) continue;
        std::ofstream(path, std::ios::binary) << damaged;
        const auto file = VirtualFile::over(path, result->outline);
        ASSERT_TRUE(file) << file.error().message;
        std::string written(file->size(), '\0');
        ASSERT_EQ(file->read(0, written.data(), written.size()), written.size());
        std::istringstream in(written);
        const auto again = read_outline(in, written.size());
        ASSERT_TRUE(again) << again.error().message << ", seed " << seed << " round " << round;
    }
    EXPECT_GT(n_translated, 2000);
}

}  // namespace
}  // namespace sutazai::gguf
