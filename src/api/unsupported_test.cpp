// Fields that are not supported, in every family: refused by name when they ask for something, let through when not.
#include "api/unsupported.h"

#include <gtest/gtest.h>

#include "api/batch.h"
#include "api/cache_manage.h"
#include "api/openai.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "api/streaming_v1.h"

namespace sutazai::api {
namespace {

template <typename T>
std::string refusal_of(const Result<T>& result) {
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

/// What each route says to a good body with one more field.
std::string chat(const std::string& field) {
    const std::string body = R"({"messages":[{"role":"user","content":"hi"}],)" + field + "}";
    const std::string openai = refusal_of(openai::parse_chat(body));
    EXPECT_EQ(refusal_of(streaming_v1::parse_chat(body)), openai) << "one word for both families";
    return openai;
}
std::string completion(const std::string& field) {
    return refusal_of(openai::parse_completion(R"({"prompt":"a",)" + field + "}", 8));
}
std::string embeddings(const std::string& field) {
    return refusal_of(openai::parse_embeddings(R"({"input":"a",)" + field + "}", 8));
}
std::string cache(const std::string& field) {
    return refusal_of(parse_cache_command(R"({"action":"status",)" + field + "}"));
}
std::string whole_batch(const std::string& field) {
    return refusal_of(batch::parse(R"({"requests":[{"prompt":"a"}],)" + field + "}", 8));
}
std::string batch_item(const std::string& field) {
    const auto parsed = batch::parse(R"({"requests":[{"prompt":"a",)" + field + "}]}", 8);
    return parsed ? refusal_of(parsed->items.at(0)) : "the whole batch";
}

TEST(Unsupported, AFieldNobodyReadsIsRefusedByName) {
    for (const char* name : {"min_tokens", "repetition_penalty", "n_predict", "tfs_z", "think", "guided_json",
                             "adaptive_target", "options", "web_search_options", "", "messages "}) {
        const std::string field = '"' + std::string(name) + R"(": 1)";
        const std::string expected = std::string(name) + ": " + name + " is not supported";
        if (*name != '\0') {
            EXPECT_EQ(chat(field), expected);
            EXPECT_EQ(batch_item(field),
                      "requests[0]." + std::string(name) + ": requests[0]." + name + " is not supported");
        }
        EXPECT_NE(chat(field), "accepted") << name;
        EXPECT_NE(completion(field), "accepted") << name;
        EXPECT_NE(embeddings(field), "accepted") << name;
        EXPECT_NE(cache(field), "accepted") << name;
        EXPECT_NE(whole_batch(field), "accepted") << name;
    }
    EXPECT_EQ(embeddings(R"("dimension": 5)"), "dimension: dimension is not supported");
    EXPECT_EQ(cache(R"("model": "a")"), "model: model is not supported") << "it is models here";
    EXPECT_EQ(completion(R"("messages": [])"), "messages: messages is not supported");
    EXPECT_EQ(whole_batch(R"("n": 2)"), "n: n is not supported");
    const std::string shown = std::string(63, 'x') + "...";
    EXPECT_EQ(chat('"' + std::string(63, 'x') + "ö" + std::string(1000, 'y') + R"(": 1)"),
              shown + ": " + shown + " is not supported")
        << "cut between characters";
}

TEST(Unsupported, NullAsksForNothing) {
    for (const char* name : {"min_tokens", "tools", "logit_bias", "n", "store"}) {
        const std::string field = '"' + std::string(name) + R"(": null)";
        EXPECT_EQ(chat(field), "accepted") << name;
        EXPECT_EQ(completion(field), "accepted") << name;
        EXPECT_EQ(batch_item(field), "accepted") << name;
        EXPECT_EQ(embeddings(field), "accepted") << name;
    }
}

TEST(Unsupported, WhatChangesNoAnswerPasses) {
    for (const char* field :
         {R"("user": "me")", R"("metadata": {"a": "b"})", R"("service_tier": "flex")", R"("safety_identifier": "x")",
          R"("prompt_cache_key": "x")", R"("cache_prompt": false)", R"("parallel_tool_calls": true)",
          R"("prediction": {"type": "content", "content": "x"})"}) {
        EXPECT_EQ(chat(field), "accepted") << field;
        EXPECT_EQ(completion(field), "accepted") << field;
        EXPECT_EQ(batch_item(field), "accepted") << field;
        EXPECT_EQ(embeddings(field), "accepted") << field;
    }
}

TEST(Unsupported, ValuesThatAreSoAnywayPass) {
    for (const char* field :
         {R"("tools": [])", R"("tool_choice": "none")", R"("tool_choice": "auto")", R"("functions": [])",
          R"("function_call": "none")", R"("logit_bias": {})", R"("modalities": ["text"])", R"("store": false)",
          R"("echo": false)", R"("suffix": "")", R"("n": 1)", R"("best_of": 1)", R"("verbosity": "medium")",
          R"("chat_template_kwargs": {})"}) {
        EXPECT_EQ(chat(field), "accepted") << field;
        EXPECT_EQ(batch_item(field), "accepted") << field;
    }
}

TEST(Unsupported, ValuesThatAskForSomethingAreRefused) {
    EXPECT_EQ(chat(R"("store": true)"), "store: store is not supported");
    EXPECT_EQ(chat(R"("echo": true)"), "echo: echo is not supported");
    EXPECT_EQ(chat(R"("modalities": ["text", "audio"])"), "modalities: modalities is not supported");
    EXPECT_EQ(chat(R"("verbosity": "low")"), "verbosity: verbosity is not supported");
    EXPECT_EQ(chat(R"("functions": [{}])"), "functions: functions is not supported; newer clients have tools");
}

TEST(Unsupported, FieldsOfNestedObjectsCountToo) {
    const auto message = [](const std::string& field) {
        return refusal_of(openai::parse_chat(R"({"messages":[{"role":"user","content":"hi",)" + field + "}]}"));
    };
    EXPECT_EQ(message(R"("sounds": ["x"])"), "messages[0].sounds: messages[0].sounds is not supported");
    EXPECT_EQ(message(R"("images": [])"), "accepted") << "as LiteLLM sends it to Ollama";
    EXPECT_EQ(message(R"("refusal": "no", "annotations": [])"), "accepted") << "as an answer came";
    const auto part = [](const std::string& field) {
        return refusal_of(openai::parse_chat(R"({"messages":[{"role":"user","content":[{"type":"text","text":"hi",)" +
                                             field + "}]}]}"));
    };
    EXPECT_EQ(part(R"("cache_control": {"type": "ephemeral"})"), "accepted");
    EXPECT_EQ(part(R"("image": 1)"), "messages[0].content[0].image: messages[0].content[0].image is not supported");
    EXPECT_EQ(chat(R"("stop": "x", "seed": 1)"), "accepted");
    EXPECT_EQ(refusal_of(openai::parse_chat(
                  R"({"messages":[{"role":"user","content":"hi"}],"stream_options":{"continuous_usage_stats":true}})")),
              "stream_options.continuous_usage_stats: stream_options.continuous_usage_stats is not supported");
}

}  // namespace
}  // namespace sutazai::api
