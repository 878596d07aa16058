#include "upstream/outgoing.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::upstream {
namespace {

namespace json = boost::json;

GenerationRequest chat(std::vector<std::pair<Role, std::string>> messages) {
    GenerationRequest request;
    Chat out;
    for (auto& [role, text] : messages) out.messages.push_back(text_message(role, std::move(text)));
    request.prompt = std::move(out);
    return request;
}

/// Every field that travels by some road.
GenerationRequest full() {
    GenerationRequest request = chat({{Role::kSystem, "Be brief."}, {Role::kUser, "Hi"}});
    request.sampling.temperature = 0.1F;
    request.sampling.top_p = 0.5F;
    request.sampling.seed = 7;
    request.given.temperature = request.given.top_p = request.given.seed = request.given.stop = true;
    request.stop = {"a", "b"};
    request.max_tokens = 12;
    request.top_logprobs = 2;
    request.json_schema = R"({"type":"object","properties":{"x":{"type":"integer"}}})";
    return request;
}

void expect_body(UpstreamKind kind, const GenerationRequest& request, const std::string& path, const std::string& body,
                 AnswerForm form) {
    const auto out = make_outgoing(kind, "m", request);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->path, path);
    EXPECT_EQ(json::parse(out->body), json::parse(body)) << out->body;
    EXPECT_EQ(out->form, form);
}

std::string refused_field(UpstreamKind kind, const GenerationRequest& request) {
    const auto out = make_outgoing(kind, "m", request);
    if (out) return "sent: " + out->body;
    EXPECT_EQ(out.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(out.error().message.starts_with(out.error().field)) << out.error().message;
    return out.error().field;
}

TEST(Outgoing, AChatInOpenAisWords) {
    const std::string body =
        R"({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.1, "top_p": 0.5,
            "seed": 7, "stop": ["a", "b"], "max_tokens": 12, "logprobs": true, "top_logprobs": 2,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": true,
                "schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})";
    expect_body(UpstreamKind::kOpenAi, full(), "/chat/completions", body, AnswerForm::kChatChunks);
    expect_body(UpstreamKind::kSutazai, full(), "/v1/chat/completions", body, AnswerForm::kChatChunks);
}

TEST(Outgoing, AChatInOllamasWords) {
    expect_body(UpstreamKind::kOllama, full(), "/api/chat",
                R"({"model": "m", "stream": true, "options": {"temperature": 0.1, "top_p": 0.5, "seed": 7,
                    "stop": ["a", "b"], "num_predict": 12}, "logprobs": true, "top_logprobs": 2,
                    "format": {"type": "object", "properties": {"x": {"type": "integer"}}},
                    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})",
                AnswerForm::kOllamaLines);
}

TEST(Outgoing, WhatIsNotSaidIsLeftToTheOtherServer) {
    const GenerationRequest request = chat({{Role::kUser, "Hi"}});
    expect_body(UpstreamKind::kOllama, request, "/api/chat",
                R"({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]})",
                AnswerForm::kOllamaLines);
    expect_body(UpstreamKind::kOpenAi, request, "/chat/completions",
                R"({"model": "m", "stream": true, "stream_options": {"include_usage": true},
                    "messages": [{"role": "user", "content": "Hi"}]})",
                AnswerForm::kChatChunks);
}

TEST(Outgoing, ASutazaiIsToldWhatOpenAisApiHasNoWordFor) {
    GenerationRequest request = chat({{Role::kUser, "Hi"}});
    request.sampling.top_k = 5;
    request.sampling.min_p = 0.5F;
    request.sampling.repeat_penalty = 1.5F;
    request.given.top_k = request.given.min_p = request.given.repeat_penalty = true;
    request.ignore_eos = true;
    request.priority = 3;
    request.grammar = "root ::= \"a\"";
    expect_body(UpstreamKind::kSutazai, request, "/v1/chat/completions",
                R"({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "top_k": 5, "min_p": 0.5,
                    "repeat_penalty": 1.5, "ignore_eos": true, "grammar": "root ::= \"a\"", "priority": 3,
                    "messages": [{"role": "user", "content": "Hi"}]})",
                AnswerForm::kChatChunks);
}

TEST(Outgoing, ToolsAndThinkingAreToldInTheWordsOfEach) {
    GenerationRequest request = chat({{Role::kUser, "Hi"}});
    Chat& asked = std::get<Chat>(request.prompt);
    asked.tools = {{"f", "does", R"({"type":"object"})", true}};
    asked.tool_choice = ToolChoice::kRequired;
    asked.named_tool = "f";
    asked.reasoning.effort = "low";
    const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f", "description": "does",
        "parameters": {"type": "object"}, "strict": true}}], )";
    const std::string choice = R"("tool_choice": {"type": "function", "function": {"name": "f"}}, )";
    const std::string messages = R"("messages": [{"role": "user", "content": "Hi"}]})";
    const std::string chunks = R"({"model": "m", "stream": true, "stream_options": {"include_usage": true}, )";
    for (const UpstreamKind kind : {UpstreamKind::kOpenAi, UpstreamKind::kSutazai}) {
        expect_body(kind, request, kind == UpstreamKind::kOpenAi ? "/chat/completions" : "/v1/chat/completions",
                    chunks + tools + choice + R"("reasoning_effort": "low", )" + messages, AnswerForm::kChatChunks);
    }
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, request), "tool_choice");
    asked.tool_choice = ToolChoice::kAuto;
    asked.named_tool = "";
    expect_body(UpstreamKind::kOllama, request, "/api/chat",
                R"({"model": "m", "stream": true, )" + tools + R"("think": "low", )" + messages,
                AnswerForm::kOllamaLines);
    asked.reasoning = {.wanted = true};
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, request), "think");
    expect_body(UpstreamKind::kSutazai, request, "/v1/chat/completions",
                chunks + tools + R"("chat_template_kwargs": {"enable_thinking": true}, )" + messages,
                AnswerForm::kChatChunks);
    asked.reasoning = {.budget_tokens = 5};
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, request), "reasoning_budget_tokens");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, request), "reasoning_budget_tokens");
}

TEST(Outgoing, FurtherSamplersAreToldWhoKnowsThem) {
    GenerationRequest request = chat({{Role::kUser, "Hi"}});
    request.sampling.more = MoreSampling{.typical_p = 0.5F, .mirostat = 2};
    request.sampling.logit_bias = {{7, -std::numeric_limits<float>::infinity()}};
    expect_body(
        UpstreamKind::kSutazai, request, "/v1/chat/completions",
        R"({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "logit_bias": {"7": -100.0},
                    "mirostat": 2, "typical_p": 0.5, "messages": [{"role": "user", "content": "Hi"}]})",
        AnswerForm::kChatChunks);
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, request), "mirostat");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, request), "logit_bias");
    request.sampling.logit_bias.clear();
    expect_body(UpstreamKind::kOllama, request, "/api/chat",
                R"({"model": "m", "stream": true, "options": {"mirostat": 2, "typical_p": 0.5},
                    "messages": [{"role": "user", "content": "Hi"}]})",
                AnswerForm::kOllamaLines);
    request.sampling.more->xtc_probability = 0.5F;
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, request), "xtc_probability");
}

TEST(Outgoing, WhatNoOtherServerIsAsked) {
    for (const UpstreamKind kind : {UpstreamKind::kOllama, UpstreamKind::kOpenAi, UpstreamKind::kSutazai}) {
        GenerationRequest request;
        request.prompt = BareText{"a"};
        request.task = Task::kRead;
        EXPECT_EQ(refused_field(kind, request), "model");
        request.prompt = RankedPair{"a", "b"};
        request.task = Task::kRank;
        EXPECT_EQ(refused_field(kind, request), "model");
        request.task = Task::kGenerate;
        request.prompt = Infill{.prefix = "a", .suffix = "b", .files = {{"c", "d"}}};
        EXPECT_EQ(refused_field(kind, request), "input_extra");
        request.prompt = Infill{.prefix = "a", .suffix = "b"};
        request.least_indent = 4;
        EXPECT_EQ(refused_field(kind, request), "n_indent");
    }
}

TEST(Outgoing, AFieldThatWouldBeLostIsRefusedByName) {
    const auto with = [](auto change) {
        GenerationRequest request = chat({{Role::kUser, "Hi"}});
        change(request);
        return request;
    };
    using R = GenerationRequest;
    const auto top_k = with([](R& r) { r.given.top_k = true; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, top_k), "top_k");
    EXPECT_FALSE(make_outgoing(UpstreamKind::kOllama, "m", top_k)->body.find("top_k") == std::string::npos);
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, with([](R& r) { r.given.min_p = true; })), "min_p");
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, with([](R& r) { r.given.repeat_penalty = true; })),
              "repeat_penalty");
    const auto grammar = with([](R& r) { r.grammar = "root ::= \"a\""; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, grammar), "grammar");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, grammar), "grammar");
    const auto endless = with([](R& r) { r.ignore_eos = true; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, endless), "ignore_eos");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, endless), "ignore_eos");
    const auto adapters = with([](R& r) {
        r.given.adapters = true;
        r.adapters.push_back({"a"});
    });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, adapters), "adapters");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, adapters), "adapters");
    const auto goes_on = with([](R& r) { std::get<Chat>(r.prompt).turn = Turn::kContinue; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, goes_on), "continue_final_message");
    const auto open = with([](R& r) { std::get<Chat>(r.prompt).turn = Turn::kOpen; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, open), "add_generation_prompt");
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, open), "add_generation_prompt");
    const auto ids = with([](R& r) { r.prompt = std::vector<std::int32_t>{1, 2}; });
    EXPECT_EQ(refused_field(UpstreamKind::kOllama, ids), "prompt");
    const auto text = with([](R& r) { r.prompt = std::string("x"); });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, text), "max_tokens");
    const auto context = with([](R& r) { r.context = {1}; });
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, context), "context");
    EXPECT_EQ(refused_field(UpstreamKind::kOpenAi, with([](R& r) { r.chat_template = "x"; })), "template");
}

TEST(Outgoing, ATextIsACompletionOrRaw) {
    GenerationRequest request;
    request.prompt = std::string("Once");
    request.max_tokens = 5;
    expect_body(UpstreamKind::kOpenAi, request, "/completions",
                R"({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "prompt": "Once",
                    "max_tokens": 5})",
                AnswerForm::kTextChunks);
    expect_body(UpstreamKind::kOllama, request, "/api/generate",
                R"({"model": "m", "stream": true, "options": {"num_predict": 5}, "prompt": "Once", "raw": true})",
                AnswerForm::kOllamaLines);
    request.max_tokens = -1;
    expect_body(UpstreamKind::kSutazai, request, "/api/generate",
                R"({"model": "m", "stream": true, "prompt": "Once", "raw": true})", AnswerForm::kOllamaLines);
    request.prompt = Infill{"a", "b"};
    expect_body(UpstreamKind::kOllama, request, "/api/generate",
                R"({"model": "m", "stream": true, "prompt": "a", "suffix": "b"})", AnswerForm::kOllamaLines);
}

TEST(Outgoing, WhatOllamasGenerateSaysStaysWhole) {
    GenerationRequest request = chat({{Role::kSystem, "S"}, {Role::kUser, "U"}});
    request.returns_tokens = true;
    request.context = {1, 2};
    request.chat_template = "{{ .Prompt }}";
    request.context_tokens = 4096;
    for (const UpstreamKind kind : {UpstreamKind::kOllama, UpstreamKind::kSutazai}) {
        expect_body(kind, request, "/api/generate",
                    R"({"model": "m", "stream": true, "options": {"num_ctx": 4096}, "system": "S", "prompt": "U",
                        "template": "{{ .Prompt }}", "context": [1, 2]})",
                    AnswerForm::kOllamaLines);
    }
}

TEST(Outgoing, AnInputForAVector) {
    GenerationRequest request;
    request.task = Task::kEmbed;
    request.prompt = std::string("x");
    expect_body(UpstreamKind::kOpenAi, request, "/embeddings",
                R"({"model": "m", "encoding_format": "float", "input": "x"})", AnswerForm::kOpenAiVectors);
    expect_body(UpstreamKind::kOllama, request, "/api/embed", R"({"model": "m", "input": "x", "truncate": false})",
                AnswerForm::kOllamaVectors);
    request.truncate = true;
    expect_body(UpstreamKind::kSutazai, request, "/api/embed", R"({"model": "m", "input": "x", "truncate": true})",
                AnswerForm::kOllamaVectors);
}

}  // namespace
}  // namespace sutazai::upstream
