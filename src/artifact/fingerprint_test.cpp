#include "artifact/fingerprint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

using testing::parts_of;
using Texts = std::vector<std::string>;

TEST(Fingerprint, TextReadsBack) {
    const Fingerprint made(parts_of());
    const auto read = Fingerprint::parse(made.text());
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, made);
    EXPECT_EQ(read->id(), made.id());
    EXPECT_EQ(made.id().size(), 16U);
    EXPECT_EQ(made.digest(), sha256(std::as_bytes(std::span(made.text())))) << "sha256sum manifest.txt says the same";
    EXPECT_EQ(read->value("rope_freq_base"), "1000000");
    EXPECT_EQ(read->value("nothing"), "");
    EXPECT_TRUE(differences(*read, made).empty());
}

TEST(Fingerprint, EachPartCounts) {
    const Fingerprint base(parts_of());
    const auto expect = [&](auto change, const std::string& what) {
        FingerprintParts parts = parts_of();
        change(parts);
        const Fingerprint other(parts);
        EXPECT_NE(other, base) << what;
        EXPECT_EQ(differences(other, base), Texts{what});
    };
    using P = FingerprintParts;
    expect([](P& p) { p.type_k = "q8_0"; }, "KV type of keys is q8_0, not f16");
    expect([](P& p) { p.type_v = "q4_0"; }, "KV type of values is q4_0, not f16");
    expect([](P& p) { p.flash_attention = false; }, "flash attention is off, not on");
    expect([](P& p) { p.architecture = "llama"; }, "architecture is llama, not qwen2");
    expect([](P& p) { p.weights[0] = std::byte{0xff}; }, "weights (SHA-256) is ff01020304050607, not 0001020304050607");
    expect([](P& p) { p.translation = "gemma3 2"; }, "translation of the file is gemma3 2, not none");
    expect([](P& p) { p.n_layer = 25; }, "layers is 25, not 24");
    expect([](P& p) { p.n_head = 15; }, "attention heads is 15, not 14");
    expect([](P& p) { p.n_head_kv = 3; }, "KV heads is 3, not 2");
    expect([](P& p) { p.n_embd = 897; }, "width is 897, not 896");
    expect([](P& p) { p.n_embd_k = 64; }, "width of keys is 64, not 128");
    expect([](P& p) { p.n_embd_v = 64; }, "width of values is 64, not 128");
    expect([](P& p) { p.sliding_window = 4096; }, "attention window is 4096, not 0");
    expect([](P& p) { p.rope_type = "norm"; }, "RoPE type is norm, not neox");
    expect([](P& p) { p.rope_scaling = "yarn"; }, "RoPE scaling is yarn, not none");
    expect([](P& p) { p.rope_freq_base = 10000; }, "RoPE base is 10000, not 1000000");
    expect([](P& p) { p.rope_freq_scale = 0.25F; }, "RoPE scale is 0.25, not 1");
    expect([](P& p) { p.rope_other = "context 4096"; }, "RoPE parameters is context 4096, not none");
    expect([](P& p) { p.lora = "ab:1.0"; }, "LoRA adapters is ab:1.0, not none");
    expect([](P& p) { p.llama_version = "v0.6.0"; }, "llama.cpp version is v0.6.0, not v0.5.0");
    expect([](P& p) { p.llama_state_version = 3; }, "llama.cpp state version is 3, not 2");
}

TEST(Fingerprint, FloatsThatDifferInTheLastBitDiffer) {
    FingerprintParts parts = parts_of();
    parts.rope_freq_base = std::nextafter(parts.rope_freq_base, 0.0F);
    EXPECT_NE(Fingerprint(parts), Fingerprint(parts_of()));
}

TEST(Fingerprint, AModelFileCannotForgeFields) {
    FingerprintParts parts = parts_of("qwen2\ntype_k = q8_0");
    const Fingerprint forged(parts);
    EXPECT_EQ(forged.value("architecture"), "qwen2?type_k = q8_0");
    EXPECT_EQ(forged.value("type_k"), "f16");
    EXPECT_TRUE(Fingerprint::parse(forged.text()));
}

TEST(Fingerprint, OtherTextIsRefused) {
    const std::string good = Fingerprint(parts_of()).text();
    for (const std::string& text : {std::string(), std::string("x"), good.substr(0, good.size() - 1), good + "\n",
                                    good + good, "UPPER = 1\n" + good, std::string("a = \x01\n"), std::string("a =1\n"),
                                    "a = " + std::string(20000, 'x') + "\n", std::string("a = trailing blank \n")}) {
        EXPECT_FALSE(Fingerprint::parse(text)) << text.substr(0, 60);
    }
    std::string many;
    for (int i = 0; i < 65; ++i) many += "n" + std::to_string(i) + " = 1\n";
    EXPECT_FALSE(Fingerprint::parse(many));
}

TEST(Fingerprint, OtherVersionsOfItselfAreReadable) {
    const std::string good = Fingerprint(parts_of()).text();
    const auto newer = Fingerprint::parse(good + "something_new = 7\n");
    ASSERT_TRUE(newer);
    EXPECT_EQ(differences(*newer, Fingerprint(parts_of())), Texts{"something_new is 7, not none"});
    EXPECT_EQ(differences(Fingerprint(parts_of()), *newer), Texts{"something_new is none, not 7"});
}

}  // namespace
}  // namespace sutazai::artifact
