#include "api/anthropic_events.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

namespace sutazai::api::anthropic {
namespace {

const Telling kTelling{.id = "msg_1", .model = "m", .request_id = "req_1", .stops = {"END"}, .max_tokens = 2};

Finished finished(FinishReason reason, std::string stop = {}) {
    return {.reason = reason,
            .usage = {.prompt_tokens = 10, .completion_tokens = 2, .cached_tokens = 4},
            .stop = std::move(stop)};
}

std::string event(std::string_view type, std::string_view rest) {
    std::string out = "event: " + std::string(type) + "\ndata: {\"type\":\"" + std::string(type) + "\"";
    return out + std::string(rest) + "}\n\n";
}

std::string start() {
    return event("message_start",
                 R"(,"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],)"
                 R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,)"
                 R"("cache_read_input_tokens":0,"output_tokens":0}})") +
           event("ping", "");
}

std::string end(std::string_view reason) {
    return event("message_delta", R"(,"delta":{"stop_reason":)" + std::string(reason) +
                                      R"(},"usage":{"input_tokens":6,"cache_creation_input_tokens":0,)"
                                      R"("cache_read_input_tokens":4,"output_tokens":2})") +
           event("message_stop", "");
}

std::string begins(int index, std::string_view block) {
    return event("content_block_start",
                 ",\"index\":" + std::to_string(index) + ",\"content_block\":" + std::string(block));
}

std::string more(int index, std::string_view delta) {
    return event("content_block_delta",
                 ",\"index\":" + std::to_string(index) + ",\"delta\":{" + std::string(delta) + "}");
}

std::string ends(int index) {
    return event("content_block_stop", ",\"index\":" + std::to_string(index));
}

TEST(AnthropicEvents, AreTheGoldenStreamOfAText) {
    EventEncoder encoder(kTelling);
    std::string out;
    encoder.start(out);
    encoder.content(out, {"Hi \"you\"\n"});
    encoder.content(out, {"!"});
    encoder.finish(out, finished(FinishReason::kStop));
    EXPECT_EQ(out, start() + begins(0, R"({"type":"text","text":""})") +
                       more(0, R"("type":"text_delta","text":"Hi \"you\"\n")") +
                       more(0, R"("type":"text_delta","text":"!")") + ends(0) +
                       end(R"("end_turn","stop_sequence":null)"));
}

TEST(AnthropicEvents, HaveABlockForEachKind) {
    EventEncoder encoder(kTelling);
    std::string out;
    encoder.content(out, {.content = "b", .reasoning = "a"});
    encoder.content(out, {.tool_calls = {{0, "id0", "f", "{\"x\":"}}});
    encoder.content(out, {.tool_calls = {{0, "", "", "1}"}, {1, "id1", "g", ""}}});
    encoder.finish(out, finished(FinishReason::kToolCalls));
    EXPECT_EQ(out, begins(0, R"({"type":"thinking","thinking":"","signature":""})") +
                       more(0, R"("type":"thinking_delta","thinking":"a")") +
                       more(0, R"("type":"signature_delta","signature":"sutazai")") + ends(0) +
                       begins(1, R"({"type":"text","text":""})") + more(1, R"("type":"text_delta","text":"b")") +
                       ends(1) + begins(2, R"({"type":"tool_use","id":"id0","name":"f","input":{}})") +
                       more(2, R"("type":"input_json_delta","partial_json":"{\"x\":")") +
                       more(2, R"("type":"input_json_delta","partial_json":"1}")") + ends(2) +
                       begins(3, R"({"type":"tool_use","id":"id1","name":"g","input":{}})") + ends(3) +
                       end(R"("tool_use","stop_sequence":null)"));
}

TEST(AnthropicEvents, HideThoughtsInTheirSignature) {
    Telling telling = kTelling;
    telling.hides_thoughts = true;
    EventEncoder encoder(telling);
    std::string out;
    encoder.content(out, {.reasoning = "a"});
    encoder.content(out, {.reasoning = "b"});
    encoder.content(out, {"c"});
    EXPECT_EQ(out, begins(0, R"({"type":"thinking","thinking":"","signature":""})") +
                       more(0, R"("type":"signature_delta","signature":"sutazai:6162")") + ends(0) +
                       begins(1, R"({"type":"text","text":""})") + more(1, R"("type":"text_delta","text":"c")"));
}

TEST(AnthropicEvents, SayWhyItEnds) {
    const auto said = [](const Telling& telling, const Finished& how) {
        std::string out;
        EventEncoder(telling).finish(out, how);
        return out;
    };
    EXPECT_EQ(said(kTelling, finished(FinishReason::kLength)), end(R"("max_tokens","stop_sequence":null)"));
    EXPECT_EQ(said(kTelling, finished(FinishReason::kStop, "END")), end(R"("stop_sequence","stop_sequence":"END")"));
    EXPECT_EQ(said(kTelling, finished(FinishReason::kStop, "<end>")), end(R"("end_turn","stop_sequence":null)"))
        << "one that the model has by itself";
    Telling wide = kTelling;
    wide.max_tokens = 3;
    EXPECT_EQ(said(wide, finished(FinishReason::kLength)),
              end(R"("model_context_window_exceeded","stop_sequence":null)"));
}

TEST(AnthropicEvents, EndWithAnError) {
    std::string out;
    EventEncoder(kTelling).error(out, {ErrorCode::kEngineDied, "Gone."});
    EXPECT_EQ(out, event("error", R"(,"error":{"type":"api_error","message":"Gone."},"request_id":"req_1")"));
}

Choice choice(Delta answer, FinishReason reason) {
    return {std::move(answer), {}, finished(reason)};
}

std::string message(std::string_view content, std::string_view reason) {
    return R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)" + std::string(content) +
           R"(],"stop_reason":")" + std::string(reason) +
           R"(","stop_sequence":null,"usage":{"input_tokens":6,)"
           R"("cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":2}})";
}

TEST(AnthropicMessage, IsGolden) {
    EXPECT_EQ(
        encode_message(kTelling, choice({.content = "b", .reasoning = "a"}, FinishReason::kStop)),
        message(R"({"type":"thinking","thinking":"a","signature":"sutazai"},{"type":"text","text":"b"})", "end_turn"));
    EXPECT_EQ(encode_message(kTelling, choice({}, FinishReason::kStop)), message("", "end_turn"));
    const Delta calls{.tool_calls = {{0, "1", "f", "{\"x\": 1.50}"}, {1, "2", "g", ""}}};
    EXPECT_EQ(encode_message(kTelling, choice(calls, FinishReason::kToolCalls)),
              message(R"({"type":"tool_use","id":"1","name":"f","input":{"x": 1.50}},)"
                      R"({"type":"tool_use","id":"2","name":"g","input":{}})",
                      "tool_use"));
}

TEST(AnthropicMessage, HasNoCallThatWasCutOff) {
    const Delta calls{.tool_calls = {{0, "1", "f", "{}"}, {1, "2", "g", "{\"x\":"}}};
    EXPECT_EQ(encode_message(kTelling, choice(calls, FinishReason::kLength)),
              message(R"({"type":"tool_use","id":"1","name":"f","input":{}})", "max_tokens"));
    const Delta broken{.tool_calls = {{0, "1", "f", "{x}"}}};
    EXPECT_EQ(encode_message(kTelling, choice(broken, FinishReason::kToolCalls)),
              message(R"({"type":"tool_use","id":"1","name":"f","input":{"INVALID_JSON":"{x}"}})", "tool_use"));
}

TEST(AnthropicMessage, TellsWhatWasWrittenToTheCacheAndNothingElse) {
    Telling telling = kTelling;
    telling.counts_creation = true;
    telling.writes_nothing = true;
    EXPECT_EQ(
        encode_message(telling, choice({"x"}, FinishReason::kStop)),
        R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"max_tokens",)"
        R"("stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":6,)"
        R"("cache_read_input_tokens":4,"output_tokens":0}})");
}

TEST(AnthropicErrors, AreGolden) {
    EXPECT_EQ(encode_error({ErrorCode::kInvalidArgument, "max_tokens is missing", "max_tokens"}, "req_1"),
              R"({"type":"error","error":{"type":"invalid_request_error","message":"max_tokens is missing"},)"
              R"("request_id":"req_1"})");
    EXPECT_EQ(
        encode_error({ErrorCode::kContextOverflow, "the prompt has 9 tokens"}, ""),
        R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: the prompt has )"
        R"(9 tokens"},"request_id":null})");
}

TEST(AnthropicErrors, TellTheClientToGoOnWithoutAThread) {
    EXPECT_EQ(encode_error({ErrorCode::kInvalidArgument, "No.", "thread"}, "req_1"),
              R"({"type":"error","error":{"type":"invalid_request_error","message":"No.","details":{"error_code":)"
              R"("thread_unsupported_request"}},"request_id":"req_1"})");
}

TEST(AnthropicModels, AreGoldenAndCutIntoPages) {
    const std::array<ModelCard, 3> all{{{"a", 0}, {"b", 1}, {"c", 2}}};
    const std::string b =
        R"({"type":"model","id":"b","display_name":"b","created_at":"1970-01-01T00:00:01.000Z","lifecycle":"active"})";
    EXPECT_EQ(encode_model(all[1]), b);
    EXPECT_EQ(encode_count(7), R"({"input_tokens":7})");
    const auto page = [&](std::string_view after, std::string_view before, std::size_t limit) {
        const auto made = page_of(all, after, before, limit);
        if (!made) return made.error().message;
        std::string names;
        for (const ModelCard& card : made->cards) names += card.id;
        return names + (made->has_more ? "..." : "");
    };
    EXPECT_EQ(page("", "", 20), "abc");
    EXPECT_EQ(page("", "", 2), "ab...");
    EXPECT_EQ(page("a", "", 1), "b...");
    EXPECT_EQ(page("b", "", 1), "c");
    EXPECT_EQ(page("c", "", 1), "");
    EXPECT_EQ(page("", "c", 1), "b...");
    EXPECT_EQ(page("", "b", 1), "a");
    EXPECT_EQ(page("x", "", 1), "after_id is no model's");
    EXPECT_EQ(encode_models(*page_of(all, "a", "", 1)),
              R"({"data":[)" + b + R"(],"has_more":true,"first_id":"b","last_id":"b"})");
    EXPECT_EQ(encode_models({}), R"({"data":[],"has_more":false,"first_id":null,"last_id":null})");
}

}  // namespace
}  // namespace sutazai::api::anthropic
