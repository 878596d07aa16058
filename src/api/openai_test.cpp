#include "api/openai.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/object.hpp>

namespace sutazai::api::openai {
namespace {

const Identity kIdentity{.id = "chatcmpl-1", .model = "m", .created_unix_s = 1737901852};
const Finished kFinished{.reason = FinishReason::kLength,
                         .usage = {.prompt_tokens = 10, .completion_tokens = 2, .cached_tokens = 4}};

Result<OpenAiChatRequest> with(std::string_view field) {
    return parse_chat(R"({"messages":[{"role":"user","content":"hi"}],)" + std::string(field) + "}");
}

std::string refusal(std::string_view field) {
    const auto result = with(field);
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

TEST(OpenAi, WritesTheGoldenStream) {
    const ChunkEncoder encoder(kIdentity, false, false);
    std::string out;
    encoder.start(out, 0);
    encoder.content(out, 0, {"Hi \"you\"\n"}, {});
    encoder.finish(out, 0, kFinished.reason);
    encoder.end(out, kFinished.usage);
    const std::string head =
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1737901852,"model":"m","choices":[)";
    EXPECT_EQ(out,
              head + R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
                  "\n\n" + head +
                  R"({"index":0,"delta":{"content":"Hi \"you\"\n"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +
                  head + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]})" +
                  "\n\ndata: [DONE]\n\n");
}

TEST(OpenAi, WritesTheGoldenStreamWithUsage) {
    const ChunkEncoder encoder(kIdentity, true, false);
    std::string out;
    encoder.content(out, 0, {"x"}, {});
    encoder.finish(out, 0, kFinished.reason);
    encoder.end(out, kFinished.usage);
    const std::string head =
        R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1737901852,"model":"m","choices":[)";
    EXPECT_EQ(out, head + R"({"index":0,"delta":{"content":"x"},"logprobs":null,"finish_reason":null}],"usage":null})" +
                       "\n\n" + head +
                       R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null})" + "\n\n" +
                       head +
                       R"(],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
                       R"("prompt_tokens_details":{"cached_tokens":4}}})"
                       "\n\ndata: [DONE]\n\n");
}

TEST(OpenAi, TimesStandBesideTheUsage) {
    const ChunkEncoder encoder(kIdentity, true, false);
    std::string out;
    encoder.end(out, kFinished.usage, boost::json::object{{"load_ms", 1.5}});
    EXPECT_NE(out.find(R"("cached_tokens":4}},"timings":{"load_ms":1.5}})"), std::string::npos) << out;
    out.clear();
    ChunkEncoder(kIdentity, false, false).end(out, kFinished.usage, boost::json::object{{"load_ms", 1.5}});
    EXPECT_EQ(out, "data: [DONE]\n\n");
}

TEST(OpenAi, WritesTheGoldenAnswer) {
    EXPECT_EQ(encode_answer(kIdentity, std::array{Choice{{"Hi\t"}, {}, kFinished}}, false),
              R"({"id":"chatcmpl-1","object":"chat.completion","created":1737901852,"model":"m","choices":[{"index":0,)"
              R"("message":{"role":"assistant","content":"Hi\t","refusal":null},"logprobs":null,)"
              R"("finish_reason":"length"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
              R"("prompt_tokens_details":{"cached_tokens":4}}})");
}

TEST(OpenAi, WritesTheGoldenErrors) {
    EXPECT_EQ(encode_error({ErrorCode::kContextOverflow, "Too long."}),
              R"({"error":{"message":"Too long.","type":"invalid_request_error","param":null,)"
              R"("code":"context_length_exceeded"}})");
    EXPECT_EQ(
        encode_error({ErrorCode::kNotFound, "No model x.", "model"}),
        R"({"error":{"message":"No model x.","type":"not_found_error","param":"model","code":"model_not_found"}})");
    std::string out;
    append_error_event(out, {ErrorCode::kInternal, "No."});
    EXPECT_EQ(out,
              "data: {\"error\":{\"message\":\"No.\",\"type\":\"server_error\",\"param\":null,"
              "\"code\":\"internal_error\"}}\n\n");
}

TEST(OpenAi, WritesTheGoldenModelList) {
    const std::array<ModelCard, 2> cards{{{"a", 1}, {"b:3b", 2}}};
    EXPECT_EQ(encode_models(cards),
              R"({"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"sutazai"},)"
              R"({"id":"b:3b","object":"model","created":2,"owned_by":"sutazai"}]})");
    EXPECT_EQ(encode_models({}), R"({"object":"list","data":[]})");
    EXPECT_EQ(encode_model(cards[0]), R"({"id":"a","object":"model","created":1,"owned_by":"sutazai"})");
}

TEST(OpenAi, ReadsItsOwnFields) {
    const auto plain = with(R"("user": "me")");
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->stream);
    EXPECT_FALSE(plain->include_usage);
    EXPECT_EQ(with(R"("max_tokens": 5, "max_completion_tokens": 6)")->generation.max_tokens, 6);
    EXPECT_TRUE(with(R"("stream": true, "stream_options": {"include_usage": true})")->include_usage);
    EXPECT_EQ(refusal(R"("stream_options": 1)"), "stream_options: stream_options must be an object (got a number)");
    EXPECT_EQ(refusal(R"("stream_options": {"include_usage": 1})"),
              "stream_options.include_usage: stream_options.include_usage must be true or false (got a number)");
}

TEST(OpenAi, WritesTheGoldenChoicesWithLogprobs) {
    const TokenScore score{{"é", -0.5F}, {{"é", -0.5F}, {"\xc3", -1.25F}}, true};
    Finished other = kFinished;
    other.reason = FinishReason::kStop;
    other.usage = {.prompt_tokens = 10, .completion_tokens = 3, .cached_tokens = 9};
    EXPECT_EQ(encode_answer(kIdentity, std::array{Choice{{"é"}, {score}, kFinished}, Choice{{""}, {}, other}}, true),
              R"({"id":"chatcmpl-1","object":"chat.completion","created":1737901852,"model":"m","choices":[{"index":0,)"
              R"("message":{"role":"assistant","content":"é","refusal":null},"logprobs":{"content":[{"token":"é",)"
              R"("logprob":-0.5,"bytes":[195,169],"top_logprobs":[{"token":"é","logprob":-0.5,"bytes":[195,169]},)"
              "{\"token\":\"\xEF\xBF\xBD\","
              R"("logprob":-1.25,"bytes":[195]}]}],"refusal":null},"finish_reason":"length"},{"index":1,)"
              R"("message":{"role":"assistant","content":"","refusal":null},"logprobs":{"content":[],"refusal":null},)"
              R"("finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,)"
              R"("prompt_tokens_details":{"cached_tokens":4}}})");
}

TEST(OpenAi, StreamsReasoningAndToolCalls) {
    const ChunkEncoder encoder(kIdentity, false, false);
    const auto delta = [&](const Delta& what) {
        std::string out;
        encoder.content(out, 0, what, {});
        const std::size_t begin = out.find(R"("delta":)") + 8;
        return out.substr(begin, out.find(R"(,"logprobs")") - begin);
    };
    EXPECT_EQ(delta({.reasoning = "Hm"}), R"({"reasoning_content":"Hm"})");
    EXPECT_EQ(delta({.content = "So", .reasoning = "m."}), R"({"content":"So","reasoning_content":"m."})");
    EXPECT_EQ(delta({.tool_calls = {{0, "call_1", "weather", ""}}}),
              R"({"tool_calls":[{"index":0,"id":"call_1","type":"function",)"
              R"("function":{"name":"weather","arguments":""}}]})");
    EXPECT_EQ(delta({.tool_calls = {{0, "", "", "{\"a\":"}, {1, "", "", "1"}}}),
              R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}},)"
              R"({"index":1,"function":{"arguments":"1"}}]})");
    std::string out;
    encoder.finish(out, 0, FinishReason::kToolCalls);
    EXPECT_NE(out.find(R"("finish_reason":"tool_calls")"), std::string::npos);
}

TEST(OpenAi, AnswersWithReasoningAndToolCalls) {
    Finished finished = kFinished;
    finished.reason = FinishReason::kToolCalls;
    const Delta called{.reasoning = "Hm", .tool_calls = {{0, "call_1", "weather", "{}"}, {1, "call_2", "time", "[]"}}};
    const std::string answer = encode_answer(kIdentity, std::array{Choice{called, {}, finished}}, false);
    EXPECT_NE(answer.find(R"("message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"Hm",)"
                          R"("tool_calls":[{"id":"call_1","type":"function",)"
                          R"("function":{"name":"weather","arguments":"{}"}},{"id":"call_2","type":"function",)"
                          R"("function":{"name":"time","arguments":"[]"}}]},"logprobs":null,)"
                          R"("finish_reason":"tool_calls")"),
              std::string::npos)
        << answer;
}

TEST(OpenAi, StreamsChoicesByIndexAndLogprobsWithTheirText) {
    const ChunkEncoder encoder(kIdentity, false, true);
    std::string out;
    encoder.content(out, 1, {"a"}, std::array{TokenScore{{"a", -0.0F}, {}, true}});
    EXPECT_TRUE(out.ends_with(
        R"("choices":[{"index":1,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.0,)"
        R"("bytes":[97],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]})"
        "\n\n"))
        << out;
}

TEST(OpenAi, ReadsChoicesAndLogprobs) {
    EXPECT_EQ(with(R"("n": 3)")->n, 3);
    EXPECT_EQ(with(R"("logprobs": true)")->generation.top_logprobs, 0);
    EXPECT_EQ(with(R"("logprobs": true, "top_logprobs": 20)")->generation.top_logprobs, 20);
    EXPECT_EQ(with(R"("logprobs": false)")->generation.top_logprobs, -1);
    EXPECT_EQ(refusal(R"("n": 0)"), "n: n must be between 1 and 128 (got 0)");
    EXPECT_EQ(refusal(R"("n": 129)"), "n: n must be between 1 and 128 (got 129)");
    EXPECT_EQ(refusal(R"("logprobs": 2)"), "logprobs: logprobs must be true or false (got a number)");
    EXPECT_EQ(refusal(R"("top_logprobs": 2)"), "top_logprobs: top_logprobs needs \"logprobs\": true");
    EXPECT_EQ(refusal(R"("logprobs": true, "top_logprobs": 21)"),
              "top_logprobs: top_logprobs must be between 0 and 20 (got 21)");
}

TEST(OpenAi, RefusesByNameWhatItCannotDo) {
    EXPECT_EQ(refusal(R"("tools": [{"type": "function"}])"), "tools[0].function: tools[0].function is missing");
    EXPECT_EQ(refusal(R"("logit_bias": {"a": 1})").substr(0, 12), "logit_bias.a");
    for (const char* field : {R"("n": 1)", R"("tools": [])", R"("logprobs": false)", R"("top_logprobs": 0)",
                              R"("logit_bias": {})", R"("response_format": {"type": "text"})", R"("tools": null)"}) {
        EXPECT_EQ(refusal(field), "accepted") << field;
    }
}

}  // namespace
}  // namespace sutazai::api::openai
