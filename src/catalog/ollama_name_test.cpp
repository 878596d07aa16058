#include "catalog/ollama_name.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::catalog {
namespace {

const std::string kLong(80, '8');
const std::string kLongHost(350, '3');

std::string full(std::string_view text) {
    const auto name = parse_ollama_name(text);
    return name ? name->full() : "";
}

// Cases are those of Ollama's own name_test.go, with the defaults filled in.
TEST(OllamaName, ReadsWhatOllamaReads) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"registry.ollama.ai/library/dolphin-mistral:7b-v2.6-dpo-laser-q6_K",
         "registry.ollama.ai/library/dolphin-mistral:7b-v2.6-dpo-laser-q6_K"},
        {"scheme://host:port/namespace/model:tag", "host:port/namespace/model:tag"},
        {"host/namespace/model:tag", "host/namespace/model:tag"},
        {"host:port/namespace/model:tag", "host:port/namespace/model:tag"},
        {"host/namespace/model", "host/namespace/model:latest"},
        {"host:port/namespace/model", "host:port/namespace/model:latest"},
        {"namespace/model", "registry.ollama.ai/namespace/model:latest"},
        {"model", "registry.ollama.ai/library/model:latest"},
        {"h/nn/mm:t", "h/nn/mm:t"},
        {"_why/_the/_lucky:_stiff", "_why/_the/_lucky:_stiff"},
        {"host:https/namespace/model:tag", "host:https/namespace/model:tag"},
        {"qwen2.5:3b", "registry.ollama.ai/library/qwen2.5:3b"},
        {"hf.co/unsloth/Qwen3-0.6B-GGUF:Q4_K_M", "hf.co/unsloth/Qwen3-0.6B-GGUF:Q4_K_M"},
        {kLong + "/" + kLong + "/" + kLong + ":" + kLong, kLong + "/" + kLong + "/" + kLong + ":" + kLong},
        {kLongHost + "/" + kLong + "/" + kLong + ":" + kLong, kLongHost + "/" + kLong + "/" + kLong + ":" + kLong},
    };
    for (const auto& [in, want] : cases) EXPECT_EQ(full(in), want) << in;
}

TEST(OllamaName, RefusesWhatOllamaRefuses) {
    for (const std::string& in : std::vector<std::string>{"",
                                                          "^",
                                                          "mm:",
                                                          "/nn/mm",
                                                          "//",
                                                          "//mm",
                                                          "hh//",
                                                          "//mm:@",
                                                          "00@",
                                                          "@",
                                                          "-hh/nn/mm:tt",
                                                          "hh/-nn/mm:tt",
                                                          "hh/nn/-mm:tt",
                                                          "hh/nn/mm:-tt",
                                                          "host/name:space/model:tag",
                                                          "n/m:",
                                                          "a.b/m",
                                                          "a/b/c/d",
                                                          "a b",
                                                          ".",
                                                          "..",
                                                          "../x",
                                                          "x/../y",
                                                          "m:..",
                                                          ".m",
                                                          "m/.",

                                                          "m\n",
                                                          "caf\xc3\xa9",
                                                          kLong + "8",
                                                          "m:" + kLong + "8",
                                                          kLongHost + "3/n/m:t",
                                                          std::string("m\0", 2)}) {
        EXPECT_EQ(full(in), "") << in;
    }
}

TEST(OllamaName, IsShownAsShortAsOllamaShowsIt) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"registry.ollama.ai/library/model:latest", "model:latest"},
        {"registry.ollama.ai/library/model:tag", "model:tag"},
        {"Registry.Ollama.AI/LIBRARY/Model:Tag", "Model:Tag"},
        {"registry.ollama.ai/namespace/model:tag", "namespace/model:tag"},
        {"host/namespace/model:tag", "host/namespace/model:tag"},
        {"host/library/model:tag", "host/library/model:tag"},
    };
    for (const auto& [in, want] : cases) EXPECT_EQ(parse_ollama_name(in)->shortest(), want) << in;
}

TEST(OllamaName, CaseAndDefaultsMakeNoOtherName) {
    const std::string key = parse_ollama_name("Qwen2.5")->key();
    for (const char* same : {"qwen2.5", "qwen2.5:latest", "QWEN2.5:Latest", "library/qwen2.5",
                             "registry.ollama.ai/library/qwen2.5:latest", "https://registry.ollama.ai/Library/qwen2.5"})
        EXPECT_EQ(parse_ollama_name(same)->key(), key) << same;
    EXPECT_NE(parse_ollama_name("qwen2.5:3b")->key(), key);
}

TEST(OllamaName, APathHasFourParts) {
    EXPECT_EQ(ollama_name_from_path("host:port/namespace/model/tag")->full(), "host:port/namespace/model:tag");
    for (const char* path : {"namespace/model/tag", "model/tag", "model", "", "../../model/tag", "/namespace/./tag",
                             "./././.", "/path/to/random/file", "h/n/m/t/x", "h/n/m/"}) {
        EXPECT_FALSE(ollama_name_from_path(path)) << path;
    }
    const auto name = parse_ollama_name("a/b:c");
    EXPECT_EQ(ollama_name_from_path(name->path()), name);
}

TEST(OllamaName, ADigestIsSixtyFourHexDigits) {
    const std::string hex = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef";
    EXPECT_EQ(parse_blob_digest("sha256:" + hex), in_small_letters(hex));
    EXPECT_EQ(parse_blob_digest("sha256-" + hex), in_small_letters(hex));
    for (const std::string& text :
         {"sha256/" + hex, "sha512:" + hex, "sha256:" + hex.substr(1), "sha256:" + hex + "0",
          "sha256:../" + hex.substr(3), "sha256:" + hex.substr(1) + "g", hex, std::string("sha256:"), std::string()}) {
        EXPECT_FALSE(parse_blob_digest(text)) << text;
    }
}

// Whatever comes: what is taken says the same again, and leads nowhere but down.
TEST(OllamaName, WhateverIsTakenIsSafeAsAPath) {
    const std::uint64_t seed = std::random_device{}();
    std::mt19937_64 random(seed);
    const std::string alphabet = "aZ0_-.:/@\\ \n\x80";
    int taken = 0;
    for (int n = 0; n < 200'000; ++n) {
        std::string text;
        for (auto length = random() % 14; length > 0; --length) text += alphabet[random() % alphabet.size()];
        const auto name = parse_ollama_name(text);
        if (!name) continue;
        ++taken;
        const std::string path = name->path();
        ASSERT_EQ(parse_ollama_name(name->full()), name) << text << ", seed " << seed;
        ASSERT_EQ(ollama_name_from_path(path), name) << text << ", seed " << seed;
        ASSERT_EQ(parse_ollama_name(name->shortest())->key(), name->key()) << text << ", seed " << seed;
        ASSERT_NE(path.front(), '/');
        ASSERT_EQ(("/" + path + "/").find("/../"), std::string::npos) << text;
        ASSERT_EQ(("/" + path + "/").find("/./"), std::string::npos) << text;
    }
    EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace sutazai::catalog
