#include "api/openai_batches.h"

#include <gtest/gtest.h>

namespace sutazai::api::openai {
namespace {

std::string code_of(std::string_view line, BatchEndpoint endpoint = BatchEndpoint::kChat) {
    const auto parsed = parse_batch_line(line, endpoint);
    return parsed ? "taken" : parsed.error().code + " " + parsed.error().param;
}

std::string chat_line(std::string_view content) {
    return R"({"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":)"
           R"([{"role":"user","content":")" +
           std::string(content) + R"("}]}})";
}

std::string key_of(std::string_view content) {
    return parse_batch_line(chat_line(content), BatchEndpoint::kChat)->sort_key;
}

TEST(OpenAiBatches, ReadsAnOrder) {
    const auto order = parse_batch_order(
        R"({"input_file_id":"file-1","endpoint":"/v1/embeddings","completion_window":"24h","metadata":{"a":"b"},)"
        R"("output_expires_after":{"anchor":"created_at","seconds":3600}})");
    ASSERT_TRUE(order) << order.error().message;
    EXPECT_EQ(order->input_file_id, "file-1");
    EXPECT_EQ(order->endpoint, BatchEndpoint::kEmbeddings);
    EXPECT_EQ(order->window_s, 86400);
    EXPECT_EQ(order->metadata, R"({"a":"b"})");
    EXPECT_EQ(order->output_expires_after_s, 3600);
}

TEST(OpenAiBatches, RefusesOrdersByName) {
    const auto field_of = [](const std::string& more) {
        const auto order = parse_batch_order(
            R"({"input_file_id":"f","endpoint":"/v1/completions","completion_window":"24h")" + more + "}");
        return order ? "taken" : order.error().field;
    };
    EXPECT_EQ(field_of(""), "taken");
    EXPECT_EQ(field_of(R"(,"endpoint":"/v1/images")"), "endpoint");
    EXPECT_EQ(field_of(R"(,"completion_window":"0s")"), "completion_window");
    EXPECT_EQ(field_of(R"(,"completion_window":"721h")"), "completion_window");
    EXPECT_EQ(field_of(R"(,"completion_window":"soon")"), "completion_window");
    EXPECT_EQ(field_of(R"(,"metadata":{"a":1})"), "metadata");
    EXPECT_EQ(field_of(R"(,"metadata":["a"])"), "metadata");
    EXPECT_EQ(field_of(R"(,"output_expires_after":{"anchor":"created_at"})"), "output_expires_after.seconds");
    EXPECT_EQ(field_of(R"(,"priority":1)"), "priority");
    EXPECT_EQ(parse_batch_order("{}").error().field, "input_file_id");
}

TEST(OpenAiBatches, SaysWhatIsWrongWithALine) {
    EXPECT_EQ(code_of(chat_line("hi")), "taken");
    EXPECT_EQ(code_of(""), "invalid_json_line ");
    EXPECT_EQ(code_of("{"), "invalid_json_line ");
    EXPECT_EQ(code_of("[]"), "invalid_json_line ");
    EXPECT_EQ(code_of(chat_line("hi"), BatchEndpoint::kEmbeddings), "mismatched_url url");
    EXPECT_EQ(code_of(R"({"method":"POST","url":"/v1/chat/completions","body":{}})"),
              "missing_required_parameter custom_id");
    EXPECT_EQ(code_of(R"({"custom_id":7,"method":"POST","url":"/v1/chat/completions","body":{}})"),
              "invalid_parameter custom_id");
    EXPECT_EQ(code_of(R"({"custom_id":"1","method":"GET","url":"/v1/chat/completions","body":{}})"),
              "invalid_method method");
    EXPECT_EQ(code_of(R"({"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":"x"})"),
              "missing_required_parameter body");
    EXPECT_EQ(code_of(R"({"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{},"more":1})"),
              "invalid_parameter more");
}

TEST(OpenAiBatches, LinesThatBeginAlikeHaveKeysThatBeginAlike) {
    const std::string shared(1000, 'a');
    const std::string one = key_of(shared + " one");
    const std::string two = key_of(shared + " two");
    const std::string other = key_of("b" + shared);
    EXPECT_NE(one, two);
    // The first 64, 128, 256 and 512 bytes are the same.
    EXPECT_EQ(one.substr(0, 16), two.substr(0, 16));
    EXPECT_NE(one.substr(0, 4), other.substr(0, 4));
    const auto response_key = [](std::string_view body) {
        return parse_batch_line(
                   R"({"custom_id":"1","method":"POST","url":"/v1/responses","body":)" + std::string(body) + "}",
                   BatchEndpoint::kResponses)
            ->sort_key;
    };
    EXPECT_EQ(response_key(R"({"instructions":")" + shared + R"(","input":"one"})").substr(0, 16),
              response_key(R"({"instructions":")" + shared + R"(","input":"two"})").substr(0, 16));
    EXPECT_EQ(key_of(shared), key_of(shared));
    EXPECT_LE(key_of(std::string(1 << 20, 'x')).size(), 48U);
    EXPECT_EQ(key_of("secret").find("secret"), std::string::npos);
}

TEST(OpenAiBatches, WritesLines) {
    const LineIds ids{"batch_req_1", "req_1", "a\"b"};
    EXPECT_EQ(encode_answer_line(ids, 200, R"({"x":1})"),
              "{\"id\":\"batch_req_1\",\"custom_id\":\"a\\\"b\",\"response\":{\"status_code\":200,\"request_id\":"
              "\"req_1\",\"body\":{\"x\":1}},\"error\":null}\n");
    EXPECT_EQ(
        encode_unanswered_line(ids, "batch_expired", "Too late."),
        "{\"id\":\"batch_req_1\",\"custom_id\":\"a\\\"b\",\"response\":null,\"error\":{\"code\":\"batch_expired\","
        "\"message\":\"Too late.\"}}\n");
    EXPECT_EQ(*body_of_line(chat_line("hi")), R"({"model":"m","messages":[{"role":"user","content":"hi"}]})");
}

TEST(OpenAiBatches, TellsOfABatchAsOpenAiDoes) {
    BatchObject batch;
    batch.id = "batch_1";
    batch.endpoint = "/v1/chat/completions";
    batch.completion_window = "24h";
    batch.input_file_id = "file-1";
    batch.output_file_id = "file-2";
    batch.status = BatchStatus::kCompleted;
    batch.created_at = 1;
    batch.completed_at = 2;
    batch.counts = {3, 2, 1};
    batch.usage = {10, 4, 5, 0};
    batch.metadata = R"({"a":"b"})";
    EXPECT_EQ(
        encode_batch(batch),
        R"({"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","model":null,"errors":null,)"
        R"("input_file_id":"file-1","completion_window":"24h","status":"completed","output_file_id":"file-2",)"
        R"("error_file_id":null,"created_at":1,"in_progress_at":null,"expires_at":null,"finalizing_at":null,)"
        R"("completed_at":2,"failed_at":null,"expired_at":null,"cancelling_at":null,"cancelled_at":null,)"
        R"("request_counts":{"total":3,"completed":2,"failed":1},"usage":{"input_tokens":10,"input_tokens_details":)"
        R"({"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15},)"
        R"("metadata":{"a":"b"}})");
    EXPECT_EQ(encode_batch_errors(std::vector<BatchError>{{"empty_file", "Nothing.", "", 0}, {"x", "y", "url", 2}}),
              R"({"object":"list","data":[{"code":"empty_file","message":"Nothing.","param":null,"line":null},)"
              R"({"code":"x","message":"y","param":"url","line":2}]})");
}

TEST(OpenAiBatches, FindsAnAnswersUsage) {
    EXPECT_EQ(usage_of_answer(R"({"text":"\"usage\": {}","usage":{"prompt_tokens":7,"completion_tokens":3,)"
                              R"("prompt_tokens_details":{"cached_tokens":2}}})"),
              (BatchUsage{7, 2, 3, 0}));
    EXPECT_EQ(usage_of_answer(R"({"metadata":{"usage":"x"},"usage":{"input_tokens":7,"output_tokens":3,)"
                              R"("input_tokens_details":{"cached_tokens":2},)"
                              R"("output_tokens_details":{"reasoning_tokens":1}}})"),
              (BatchUsage{7, 2, 3, 1}));
    EXPECT_EQ(usage_of_answer(R"({"usage":)"), BatchUsage{});
    EXPECT_EQ(usage_of_answer("{}"), BatchUsage{});
}

}  // namespace
}  // namespace sutazai::api::openai
