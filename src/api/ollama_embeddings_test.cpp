#include "api/ollama_embeddings.h"

#include <gtest/gtest.h>

#include <array>

namespace sutazai::api::ollama {
namespace {

using namespace std::chrono_literals;

TEST(OllamaEmbeddings, ReadsOneInputOrSeveral) {
    const auto one = parse_embed(R"({"model":"m","input":"a","truncate":false,"options":{"num_ctx":512}})", 8);
    ASSERT_TRUE(one) << one.error().message;
    EXPECT_EQ(one->model, "m");
    EXPECT_EQ(one->inputs, (std::vector<openai::PromptItem>{"a"}));
    const auto two = parse_embed(R"({"input":["a","b"],"dimensions":4,"keep_alive":"5m"})", 8);
    ASSERT_TRUE(two) << two.error().message;
    EXPECT_EQ(two->inputs, (std::vector<openai::PromptItem>{"a", "b"}));
    EXPECT_EQ(two->dimensions, 4U);
    const auto old = parse_embeddings(R"({"model":"m","prompt":"a"})");
    ASSERT_TRUE(old) << old.error().message;
    EXPECT_EQ(old->inputs, (std::vector<openai::PromptItem>{"a"}));
}

TEST(OllamaEmbeddings, WithoutInputOnlyTheModelIsAskedFor) {
    for (const char* body : {R"({"model":"m"})", R"({"model":"m","input":""})", R"({"model":"m","input":[]})"}) {
        const auto request = parse_embed(body, 8);
        ASSERT_TRUE(request) << body;
        EXPECT_TRUE(request->inputs.empty());
    }
    EXPECT_TRUE(parse_embeddings(R"({"model":"m"})")->inputs.empty());
}

TEST(OllamaEmbeddings, WhatIsNotSupportedIsRefusedByName) {
    EXPECT_TRUE(parse_embed(R"({"input":"a","truncate":true})", 8)->generations().front().truncate);
    EXPECT_FALSE(parse_embed(R"({"input":"a"})", 8)->generations().front().truncate);
    EXPECT_EQ(parse_embed(R"({"input":"a","options":{"temperature":1}})", 8).error().field, "options.temperature");
    EXPECT_EQ(parse_embed(R"({"input":"a","nonsense":1})", 8).error().field, "nonsense");
    EXPECT_EQ(parse_embed(R"({"input":["a","b","c"]})", 2).error().field, "input");
    EXPECT_EQ(parse_embeddings(R"({"prompt":["a"]})").error().field, "prompt");
}

TEST(OllamaEmbeddings, WritesTheGoldenAnswers) {
    const std::vector<std::vector<float>> vectors{{0.5F, -1}, {1e-8F, 0}};
    EXPECT_EQ(encode_embed("m", vectors, 3, {.load = 1us, .total = 2us}),
              R"({"model":"m","embeddings":[[0.5,-1],[1e-08,0]],"total_duration":2000,"load_duration":1000,)"
              R"("prompt_eval_count":3})");
    EXPECT_EQ(encode_embed("m", {}, 0, {}),
              R"({"model":"m","embeddings":[],"total_duration":0,"load_duration":0,"prompt_eval_count":0})");
    EXPECT_EQ(encode_embedding(vectors.front()), R"({"embedding":[0.5,-1]})");
    EXPECT_EQ(encode_embedding({}), R"({"embedding":[]})");
}

}  // namespace
}  // namespace sutazai::api::ollama
