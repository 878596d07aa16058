#include "cli/cache_files_command.h"

#include <gtest/gtest.h>

namespace sutazai::cli {
namespace {

using artifact::Fingerprint;
using artifact::FingerprintParts;

FingerprintParts parts() {
    FingerprintParts parts;
    parts.weights[0] = std::byte{0xab};
    parts.architecture = "qwen2";
    parts.type_k = parts.type_v = "f16";
    parts.llama_version = "v0.5.0";
    parts.llama_state_version = 3;
    return parts;
}

/// A machine with one model, whose weights are those of parts().
ImportContext context(std::vector<Fingerprint> local) {
    ImportContext context;
    context.local = std::move(local);
    context.build.llama_version = "v0.5.0";
    context.build.llama_state_version = 3;
    context.model_of = [](const std::string& weights, const std::string&) {
        return weights.starts_with("ab00") ? "chat" : "";
    };
    return context;
}

TEST(ImportRefusal, TakesWhatTheEnginesHereMakeThemselves) {
    EXPECT_EQ(import_refusal(Fingerprint(parts()), context({Fingerprint(parts())})), "");
}

TEST(ImportRefusal, TakesArtifactsOfAModelThatHasNotRunYet) {
    EXPECT_EQ(import_refusal(Fingerprint(parts()), context({})), "");
}

TEST(ImportRefusal, AnotherModel) {
    FingerprintParts other = parts();
    other.weights[0] = std::byte{0xcd};
    EXPECT_EQ(
        import_refusal(Fingerprint(other), context({Fingerprint(parts())})),
        "these artifacts belong to another model: architecture qwen2, weights cd00000000000000..., which no model "
        "here has");
}

TEST(ImportRefusal, OtherSettings) {
    FingerprintParts other = parts();
    other.type_k = other.type_v = "q8_0";
    EXPECT_EQ(
        import_refusal(Fingerprint(other), context({Fingerprint(parts())})),
        "these artifacts were made with other settings than the model runs with here: KV type of keys is q8_0, not "
        "f16; KV type of values is q8_0, not f16");
}

TEST(ImportRefusal, OtherVersions) {
    FingerprintParts other = parts();
    other.llama_version = "v0.4.0";
    EXPECT_EQ(import_refusal(Fingerprint(other), context({})),
              "these artifacts cannot be used here: llama.cpp version is v0.4.0, not v0.5.0");
    const Fingerprint mine(parts());
    std::string text = mine.text();
    text.replace(text.find("format = 1"), 10, "format = 9");
    EXPECT_EQ(import_refusal(*Fingerprint::parse(text), context({mine})),
              "these artifacts cannot be used here: artifact format version is 9, not 1");
}

TEST(ImportRefusal, WhatOlderVersionsLeftBehindDoesNotCount) {
    FingerprintParts old = parts();
    old.llama_version = "v0.4.0";
    old.type_k = "q8_0";
    EXPECT_EQ(import_refusal(Fingerprint(parts()), context({Fingerprint(old)})), "");
}

}  // namespace
}  // namespace sutazai::cli
