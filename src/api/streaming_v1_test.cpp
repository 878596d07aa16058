#include "api/streaming_v1.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::api::streaming_v1 {
namespace {

using namespace std::chrono_literals;

const Clock::time_point kNow = std::chrono::sys_days{std::chrono::January / 26 / 2025} + 14h + 30min + 52s + 5ms;
const Finished kFinished{.reason = FinishReason::kStop,
                         .usage = {.prompt_tokens = 10, .completion_tokens = 2, .cached_tokens = 4}};

TEST(StreamingV1, WritesTheGoldenStream) {
    const EventEncoder encoder("qwen2.5:3b");
    std::string out;
    encoder.start(out, kNow);
    encoder.chunk(out, "Advanced", false);
    encoder.chunk(out, " \"computing\"\n", true);
    encoder.complete(out, kNow + 1s, kFinished);
    EXPECT_EQ(out, R"(data: {"type": "start", "model": "qwen2.5:3b", "timestamp": "2025-01-26T14:30:52.005Z"})"
                   "\n\n"
                   R"(data: {"type": "chunk", "content": "Advanced", "is_final": false})"
                   "\n\n"
                   R"(data: {"type": "chunk", "content": " \"computing\"\n", "is_final": true})"
                   "\n\n"
                   R"(data: {"type": "complete", "timestamp": "2025-01-26T14:30:53.005Z", "finish_reason": "stop", )"
                   R"("usage": {"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
                   R"("prompt_tokens_details":{"cached_tokens":4}}})"
                   "\n\n");
}

TEST(StreamingV1, WritesTheGoldenError) {
    std::string out;
    EventEncoder("m").error(out, {ErrorCode::kEngineDied, "The engine of m ended."});
    EXPECT_EQ(out, "data: {\"type\": \"error\", \"error\": \"The engine of m ended.\", \"code\": \"engine_died\"}\n\n");
    EXPECT_EQ(encode_error({ErrorCode::kInvalidArgument, "top_k must be a whole number (got 0.5)", "top_k"}),
              R"j({"error":{"message":"top_k must be a whole number (got 0.5)","type":"invalid_request_error",)j"
              R"("field":"top_k","code":"invalid_argument"}})");
    EXPECT_EQ(encode_error({ErrorCode::kQueueFull, "Full."}),
              R"({"error":{"message":"Full.","type":"rate_limit_error","field":null,"code":"queue_full"}})");
}

TEST(StreamingV1, WritesTheGoldenAnswer) {
    EXPECT_EQ(encode_answer("m", {.content = "Hi \\"}, kFinished, kNow),
              R"({"model":"m","content":"Hi \\","finish_reason":"stop","usage":{"prompt_tokens":10,)"
              R"("completion_tokens":2,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}},)"
              R"("timestamp":"2025-01-26T14:30:52.005Z"})");
}

TEST(StreamingV1, StreamsUnlessToldOtherwise) {
    EXPECT_TRUE(parse_chat(R"({"messages":[{"role":"user","content":"x"}]})")->stream);
    EXPECT_FALSE(parse_chat(R"({"messages":[{"role":"user","content":"x"}],"stream":false})")->stream);
    EXPECT_EQ(parse_chat(R"({"messages":[{"role":"user","content":"x"}],"top_k":"1"})").error().field, "top_k");
}

TEST(StreamingV1, EveryEventIsOneDataLineOfJson) {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
    std::string out;
    EventEncoder(text).start(out, kNow);
    EventEncoder(text).chunk(out, text, false);
    EventEncoder(text).error(out, {ErrorCode::kInternal, text});
    for (int events = 0; events < 3; ++events) {
        const std::size_t end = out.find("\n\n");
        ASSERT_NE(end, std::string::npos);
        const std::string event = out.substr(0, end);
        ASSERT_TRUE(event.starts_with("data: "));
        boost::json::error_code failure;
        EXPECT_TRUE(boost::json::parse(event.substr(6), failure).is_object()) << event;
        EXPECT_FALSE(failure);
        out.erase(0, end + 2);
    }
    EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace sutazai::api::streaming_v1
