#include "api/ollama_lines.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>

namespace sutazai::api::ollama {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = std::chrono::sys_days{std::chrono::January / 26 / 2025} + 14h + 30min + 52s + 5ms;
const Finished kFinished{.reason = FinishReason::kLength,
                         .usage = {.prompt_tokens = 10, .completion_tokens = 2, .cached_tokens = 4},
                         .timings = {.queued = 1ms, .prefill = 20ms, .decode = 3ms}};
const Durations kDurations{.load = 5ms, .total = 30ms};

TEST(OllamaLines, WritesTheGoldenChat) {
    const LineEncoder encoder(Route::kChat, "qwen2.5:3b", false);
    std::string out;
    encoder.content(out, kNow, {.content = "Hi \"you\"\n"}, {});
    encoder.finish(out, kNow + 1s, kFinished, kDurations);
    EXPECT_EQ(out, R"({"model":"qwen2.5:3b","created_at":"2025-01-26T14:30:52.005Z","message":{"role":"assistant",)"
                   R"("content":"Hi \"you\"\n"},"done":false})"
                   "\n"
                   R"({"model":"qwen2.5:3b","created_at":"2025-01-26T14:30:53.005Z","message":{"role":"assistant",)"
                   R"("content":""},"done":true,"done_reason":"length","total_duration":30000000,)"
                   R"("load_duration":5000000,"prompt_eval_count":10,"prompt_eval_duration":20000000,"eval_count":2,)"
                   R"("eval_duration":3000000})"
                   "\n");
}

TEST(OllamaLines, TheContextIsInTheLastLine) {
    Finished finished = kFinished;
    finished.tokens = {1, 42, 151935};
    std::string out;
    LineEncoder(Route::kGenerate, "m", false).finish(out, kNow, finished, kDurations);
    EXPECT_TRUE(out.ends_with("\"eval_duration\":3000000,\"context\":[1,42,151935]}\n")) << out;
    const std::string whole = encode_answer(Route::kGenerate, "m", kNow, {.finished = finished}, kDurations, false);
    EXPECT_EQ(boost::json::parse(whole).at("context").as_array().size(), 3U);
}

TEST(OllamaLines, WritesTheGoldenGeneration) {
    const LineEncoder encoder(Route::kGenerate, "m", false);
    std::string out;
    encoder.content(out, kNow, {.content = "Hi", .reasoning = "hm"}, {});
    EXPECT_EQ(out, R"({"model":"m","created_at":"2025-01-26T14:30:52.005Z","response":"Hi","thinking":"hm",)"
                   R"("done":false})"
                   "\n");
    Choice choice{.answer = {.content = "Hi"}, .finished = kFinished};
    choice.finished.reason = FinishReason::kStop;
    EXPECT_EQ(encode_answer(Route::kGenerate, "m", kNow, choice, kDurations, false),
              R"({"model":"m","created_at":"2025-01-26T14:30:52.005Z","response":"Hi","done":true,)"
              R"("done_reason":"stop","total_duration":30000000,"load_duration":5000000,"prompt_eval_count":10,)"
              R"("prompt_eval_duration":20000000,"eval_count":2,"eval_duration":3000000})");
}

TEST(OllamaLines, ArgumentsOfToolCallsAreObjects) {
    const Delta delta{.tool_calls = {{.index = 1, .id = "c1", .name = "f", .arguments = R"({"a":[1]})"}}};
    const LineEncoder encoder(Route::kChat, "m", false);
    std::string out;
    encoder.content(out, kNow, delta, {});
    EXPECT_NE(out.find(R"("message":{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":1,)"
                       R"("name":"f","arguments":{"a":[1]}}}]})"),
              std::string::npos)
        << out;
}

TEST(OllamaLines, ScoresStandBesideTheText) {
    const std::vector<TokenScore> scores{{.token = {"Hi", -0.5F}, .top = {{"Hi", -0.5F}, {"Ho", -1.5F}}}};
    const LineEncoder encoder(Route::kChat, "m", true);
    std::string out;
    encoder.content(out, kNow, {.content = "Hi"}, scores);
    EXPECT_NE(out.find(R"(,"done":false,"logprobs":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":)"
                       R"([{"token":"Hi","logprob":-0.5,"bytes":[72,105]},{"token":"Ho","logprob":-1.5,)"
                       R"("bytes":[72,111]}]}]})"
                       "\n"),
              std::string::npos)
        << out;
}

TEST(OllamaLines, OrdersAndErrors) {
    EXPECT_EQ(encode_order(Route::kChat, "m", kNow, "load"),
              R"({"model":"m","created_at":"2025-01-26T14:30:52.005Z","message":{"role":"assistant","content":""},)"
              R"("done":true,"done_reason":"load"})");
    EXPECT_EQ(encode_order(Route::kGenerate, "m", kNow, "unload"),
              R"({"model":"m","created_at":"2025-01-26T14:30:52.005Z","response":"","done":true,)"
              R"("done_reason":"unload"})");
    EXPECT_EQ(encode_error({ErrorCode::kNotFound, "model 'x' not found"}), R"({"error":"model 'x' not found"})");
}

TEST(OllamaLines, EveryLineIsJsonByItself) {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
    for (const Route route : {Route::kChat, Route::kGenerate}) {
        const LineEncoder encoder(route, text, true);
        std::string out;
        encoder.content(out, kNow, {.content = text, .reasoning = text}, {});
        encoder.finish(out, kNow, kFinished, kDurations);
        encoder.error(out, {ErrorCode::kInternal, text});
        std::size_t lines = 0;
        for (std::size_t at = 0; at < out.size(); ++lines) {
            const std::size_t end = out.find('\n', at);
            EXPECT_NO_THROW((void)boost::json::parse(std::string_view(out).substr(at, end - at)));
            at = end + 1;
        }
        EXPECT_EQ(lines, 3U);
    }
}

}  // namespace
}  // namespace sutazai::api::ollama
