// Random damage to good bodies: every parser gives a request or an error that says something, and never crashes.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <random>
#include <string>

#include "api/anthropic.h"
#include "api/batch.h"
#include "api/llama_completion.h"
#include "api/ollama_create.h"
#include "api/openai.h"
#include "api/openai_batches.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "api/rerank.h"
#include "api/responses.h"
#include "api/streaming_v1.h"

namespace sutazai::api {
namespace {

constexpr std::array<std::string_view, 24> kPieces{
    "null", "true", "-1",        "1e999",       "0.5",        "\"\"",
    "[]",   "{}",   "[[]]",      "\"\\u0000\"", "\"\xff\"",   "99999999999999999999",
    ",",    ":",    "\"",        "[",           "{",          "]",
    "}",    "\\",   "[[1],[2]]", "[1,\"a\"]",   "2147483648", "-9223372036854775808"};

std::string damaged(std::string body, std::mt19937& random) {
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
        const std::size_t at = random() % (body.size() + 1);
        const std::string_view piece = kPieces[random() % kPieces.size()];
        switch (random() % 4) {
            case 0: body.insert(at, piece); break;
            case 1: body.erase(at, random() % 8); break;
            case 2: {  // a whole value
                const std::size_t colon = body.find(": ", at);
                if (colon == std::string::npos) break;
                const std::size_t end = body.find_first_of(",}", colon);
                body.replace(colon + 2, end - colon - 2, piece);
                break;
            }
            default:
                if (at < body.size()) body[at] = static_cast<char>(random());
        }
        if (body.empty()) break;
    }
    return body;
}

/// Of the damaged bodies, how many were taken; each refusal must say something.
int taken(std::string_view good, const std::function<std::optional<Error>(const std::string&)>& error_of) {
    EXPECT_FALSE(error_of(std::string(good))) << good;
    std::mt19937 random(20260126);
    int n_taken = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string body = damaged(std::string(good), random);
        const auto error = error_of(body);
        n_taken += error ? 0 : 1;
        EXPECT_FALSE(error && error->message.empty()) << body;
    }
    return n_taken;
}

template <typename Parse>
auto errors_of(Parse parse) {
    return [parse](const std::string& body) -> std::optional<Error> {
        const auto result = parse(body);
        if (result) return std::nullopt;
        return result.error();
    };
}

void expect_robust(std::string_view good, const std::function<std::optional<Error>(const std::string&)>& error_of) {
    const int n = taken(good, error_of);
    EXPECT_GT(n, 100) << "hardly anything got past the JSON parser: the test shows nothing";
    EXPECT_LT(n, 19'000) << "hardly anything was damaged: the test shows nothing";
}

TEST(ParserFuzz, Responses) {
    expect_robust(R"({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}, )"
                  R"({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, )"
                  R"({"type": "function_call_output", "call_id": "c", "output": "x"}], "model": "m", )"
                  R"("text": {"format": {"type": "text"}}, "include": [], "metadata": {"a": "b"}, )"
                  R"("tools": [{"type": "function", "name": "f"}], "tool_choice": "auto", "stream": true})",
                  [](const std::string& body) -> std::optional<Error> {
                      auto request = responses::parse_create(body);
                      if (!request) return request.error();
                      responses::name_items("resp_0", request->items);
                      const auto messages = responses::join(request->instructions, {}, request->items);
                      if (!messages) return messages.error();
                      return std::nullopt;
                  });
}

TEST(ParserFuzz, OpenAiBatchOrder) {
    expect_robust(R"({"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h", )"
                  R"("metadata": {"a": "b"}, "output_expires_after": {"anchor": "created_at", "seconds": 3600}})",
                  errors_of(openai::parse_batch_order));
}

TEST(ParserFuzz, OpenAiBatchLine) {
    expect_robust(R"({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", )"
                  R"("messages": [{"role": "user", "content": "hi"}], "tools": [], "max_tokens": 5}})",
                  [](const std::string& line) -> std::optional<Error> {
                      const auto parsed = openai::parse_batch_line(line, openai::BatchEndpoint::kChat);
                      if (!parsed) return Error{ErrorCode::kInvalidArgument, parsed.error().message};
                      const auto body = openai::body_of_line(line);
                      return body ? std::nullopt : std::optional(body.error());
                  });
}

TEST(ParserFuzz, OwnChat) {
    expect_robust(R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}], "model": "m", )"
                  R"("temperature": 0.5, "top_k": 3, "seed": 4, "stop": ["a", "b"], "priority": 1, "stream": true})",
                  errors_of([](const std::string& body) { return streaming_v1::parse_chat(body); }));
}

TEST(ParserFuzz, OpenAiChat) {
    expect_robust(R"({"messages": [{"role": "user", "content": "hi"}], "n": 2, "logprobs": true, "top_logprobs": 3, )"
                  R"("stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 4})",
                  errors_of([](const std::string& body) { return openai::parse_chat(body); }));
}

TEST(ParserFuzz, Completions) {
    const auto parse = errors_of([](const std::string& body) { return openai::parse_completion(body, 16); });
    expect_robust(R"({"prompt": ["a", "b", [1, 2, 3]], "n": 2, "best_of": 3, "logprobs": 1, "echo": true, )"
                  R"("max_tokens": 0, "stop": "x", "suffix": null})",
                  parse);
    expect_robust(R"({"prompt": [1, 2, 3], "model": "m"})", parse);
}

TEST(ParserFuzz, ToolsAndSamplers) {
    expect_robust(
        R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [{"id": "a", "type": )"
        R"("function", "function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "a", "content": )"
        R"("x"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}], )"
        R"("tool_choice": "required", "logit_bias": {"7": -1}, "samplers": ["top_k"], "reasoning_effort": "low"})",
        errors_of([](const std::string& body) { return openai::parse_chat(body); }));
}

TEST(ParserFuzz, AnthropicMessages) {
    const auto parse = errors_of([](const std::string& body) { return anthropic::parse_messages(body); });
    expect_robust(
        R"({"model": "m", "max_tokens": 8, "system": [{"type": "text", "text": "s", "cache_control": {"type": )"
        R"("ephemeral"}}], "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": )"
        R"("thinking", "thinking": "", "signature": "sutazai:6162"}, {"type": "tool_use", "id": "1", "name": "f", )"
        R"("input": {"n": 1}}]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": )"
        R"([{"type": "text", "text": "b"}], "is_error": true}, {"type": "text", "text": "c"}]}]})",
        parse);
    expect_robust(
        R"({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "tools": [{"name": "f", "input_schema": )"
        R"({"type": "object"}, "input_examples": [{}]}], "tool_choice": {"type": "tool", "name": "f"}, "thinking": )"
        R"({"type": "enabled", "budget_tokens": 9}, "context_management": {"edits": [{"type": )"
        R"("clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}]}, "stop_sequences": ["a"], )"
        R"("output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "integer"}}}})",
        parse);
}

TEST(ParserFuzz, LlamaServer) {
    expect_robust(R"({"input_prefix": "a", "input_suffix": "b", "input_extra": [{"text": "c", "filename": "d"}], )"
                  R"("n_indent": 4, "response_fields": ["content"], "n_predict": 8, "samplers": ["infill"]})",
                  errors_of([](const std::string& body) { return llama_server::parse_infill(body); }));
    expect_robust(R"({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true})",
                  errors_of([](const std::string& body) { return rerank::parse(body, 16); }));
}

TEST(ParserFuzz, Embeddings) {
    expect_robust(R"({"input": ["a", [1, 2], "b"], "model": "m", "encoding_format": "base64", "dimensions": 16})",
                  errors_of([](const std::string& body) { return openai::parse_embeddings(body, 16); }));
}

TEST(ParserFuzz, ResponseFormat) {
    expect_robust(
        R"({"messages": [{"role": "user", "content": "hi"}], "response_format": {"type": "json_schema", )"
        R"("json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}}})",
        errors_of([](const std::string& body) { return openai::parse_chat(body); }));
}

TEST(ParserFuzz, OllamaCreate) {
    expect_robust(
        R"({"model": "m", "files": {"a.gguf": "sha256:1"}, "quantize": "q4_0", "system": "s", "license": ["a", "b"], )"
        R"("parameters": {"temperature": 0.5, "stop": ["x"]}, "messages": [{"role": "user", "content": "hi"}]})",
        errors_of([](const std::string& body) { return ollama::parse_create(body); }));
}

TEST(ParserFuzz, Batch) {
    expect_robust(
        R"({"requests": [{"prompt": "a", "temperature": 1}, {"messages": [{"role": "user", "content": "b"}]}], )"
        R"("model": "m", "batch_size": 8, "max_tokens": 3})",
        errors_of([](const std::string& body) { return batch::parse(body, 4); }));
}

}  // namespace
}  // namespace sutazai::api
