#include "api/llama_completion.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::api::llama_server {
namespace {

Finished ended(FinishReason reason, std::string stop = {}) {
    Finished finished;
    finished.reason = reason;
    finished.stop = std::move(stop);
    finished.usage = {10, 4, 6};
    finished.timings = {std::chrono::microseconds(0), std::chrono::microseconds(2000), std::chrono::microseconds(8000)};
    finished.tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21, 22, 23};
    return finished;
}

/// As llama.vim sends it.
constexpr const char* kEditor = R"({
    "input_prefix": "def f(", "input_suffix": "\n    return x", "prompt": "a", "n_predict": 128, "n_indent": 4,
    "input_extra": [{"text": "import os", "time": 1.5, "filename": "a.py"}, {"text": "x"}],
    "stop": ["\n\n"], "top_k": 40, "top_p": 0.9, "stream": false, "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": true, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
    "response_fields": ["content", "timings/prompt_n", "truncated", "no/such"]})";

TEST(LlamaCompletion, AnEditorsInfillIsRead) {
    const auto request = parse_infill(kEditor);
    ASSERT_TRUE(request) << request.error().message;
    ASSERT_EQ(request->generations.size(), 1U);
    const GenerationRequest& one = request->generations.front();
    const Infill expected{"def f(", "\n    return x", "a", {{"a.py", "import os"}, {"tmp", "x"}}, true};
    EXPECT_EQ(std::get<Infill>(one.prompt), expected);
    EXPECT_EQ(one.max_tokens, 128);
    EXPECT_EQ(one.least_indent, 4);
    EXPECT_EQ(one.most_time, std::chrono::milliseconds(1000));
    EXPECT_EQ(one.sampling.more->samplers.back(), "infill");
    EXPECT_FALSE(request->stream);
    const Choice choice{{"bc"}, {}, ended(FinishReason::kStop)};
    EXPECT_EQ(encode_completion(*request, "m", std::span(&choice, 1)),
              R"({"content":"bc","timings/prompt_n":4,"truncated":false})");
}

TEST(LlamaCompletion, ACompletionTellsHowItEnded) {
    const auto request = parse_completion(R"({"prompt": "Once", "return_tokens": true, "temperature": 0})", 8);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->generations.front().max_tokens, -1);
    for (const auto& [finished, type, word] : {std::tuple{ended(FinishReason::kStop), "eos", ""},
                                               std::tuple{ended(FinishReason::kStop, "end"), "word", "end"},
                                               std::tuple{ended(FinishReason::kLength), "limit", ""}}) {
        const Choice choice{{" upon\n"}, {}, finished};
        const auto answer = boost::json::parse(encode_completion(*request, "m", std::span(&choice, 1))).as_object();
        EXPECT_EQ(answer.at("stop_type"), type);
        EXPECT_EQ(answer.at("stopping_word"), word);
        EXPECT_EQ(answer.at("content"), " upon\n");
        EXPECT_EQ(answer.at("prompt"), "Once");
        EXPECT_EQ(answer.at("has_new_line"), true);
        EXPECT_EQ(answer.at("tokens"), (boost::json::array{21, 22, 23}));
        EXPECT_EQ(answer.at("timings").at("prompt_n"), 4);
        EXPECT_EQ(answer.at("timings").at("cache_n"), 6);
        EXPECT_EQ(answer.at("timings").at("predicted_per_second"), 500.0);
    }
}

TEST(LlamaCompletion, SeveralPromptsAreAListOfAnswers) {
    const auto request = parse_completion(R"({"prompt": ["a", "b"], "response_fields": ["index", "content"]})", 8);
    ASSERT_TRUE(request);
    ASSERT_EQ(request->generations.size(), 2U);
    const Choice choices[] = {{{"x"}, {}, ended(FinishReason::kStop)}, {{"y"}, {}, ended(FinishReason::kStop)}};
    EXPECT_EQ(encode_completion(*request, "m", choices), R"([{"index":0,"content":"x"},{"index":1,"content":"y"}])");
    EXPECT_FALSE(parse_completion(R"({"prompt": ["a", "b"]})", 1));
}

TEST(LlamaCompletion, NoTokensMeansThatThePromptIsComputed) {
    const auto request = parse_completion(R"({"prompt": "a", "n_predict": 0})", 8);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->generations.front().max_tokens, 1);
    const Choice choice{{"x"}, {}, ended(FinishReason::kLength)};
    const auto answer = boost::json::parse(encode_completion(*request, "m", std::span(&choice, 1))).as_object();
    EXPECT_EQ(answer.at("content"), "");
    EXPECT_EQ(answer.at("tokens_predicted"), 0);
    EXPECT_EQ(answer.at("tokens_evaluated"), 10);
}

TEST(LlamaCompletion, EventsOfAStream) {
    const auto request = parse_completion(R"({"prompt": "a", "stream": true, "response_fields": ["stop_type"]})", 8);
    ASSERT_TRUE(request);
    std::string out;
    append_chunk(out, 0, "h\"i", 2);
    append_end(out, *request, "m", 0, ended(FinishReason::kStop));
    EXPECT_EQ(out,
              "data: {\"index\":0,\"content\":\"h\\\"i\",\"tokens\":[],\"stop\":false,\"id_slot\":-1,"
              "\"tokens_predicted\":2}\n\ndata: {\"stop_type\":\"eos\"}\n\n");
}

TEST(LlamaCompletion, WhatIsWrongIsNamed) {
    const std::pair<const char*, const char*> completions[] = {
        {R"({})", "prompt"},
        {R"({"prompt": "a", "n_predict": -2})", "n_predict"},
        {R"({"prompt": "a", "n_probs": 3})", "n_probs"},
        {R"({"prompt": "a", "lora": [{"id": 0, "scale": 1}]})", "lora"},
        {R"({"prompt": "a", "t_max_predict_ms": -2})", "t_max_predict_ms"},
        {R"({"prompt": "a", "response_fields": "content"})", "response_fields"},
        {R"({"prompt": "a", "json_schema": 3})", "json_schema"},
        {R"({"prompt": "a", "whatever": 3})", "whatever"},
    };
    for (const auto& [body, field] : completions) {
        const auto request = parse_completion(body, 8);
        ASSERT_FALSE(request) << body;
        EXPECT_EQ(request.error().field, field);
    }
    const std::pair<const char*, const char*> infills[] = {
        {R"({"input_prefix": "a"})", "input_suffix"},
        {R"({"input_suffix": "a"})", "input_prefix"},
        {R"({"input_prefix": "a", "input_suffix": "", "prompt": ["a"]})", "prompt"},
        {R"({"input_prefix": "a", "input_suffix": "", "input_extra": {}})", "input_extra"},
        {R"({"input_prefix": "a", "input_suffix": "", "input_extra": [{"filename": "a"}]})", "input_extra[0].text"},
    };
    for (const auto& [body, field] : infills) {
        const auto request = parse_infill(body);
        ASSERT_FALSE(request) << body;
        EXPECT_EQ(request.error().field, field);
    }
}

}  // namespace
}  // namespace sutazai::api::llama_server
