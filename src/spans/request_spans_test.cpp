#include "spans/request_spans.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>

namespace sutazai::spans {
namespace {

using std::chrono::milliseconds;

serve::RequestRecord ended_record() {
    serve::RequestRecord record;
    record.id = "req_1";
    record.route = "/v1/chat/completions";
    record.model = "toy";
    record.max_tokens = 16;
    record.temperature = 0.5F;
    record.n_generations = 1;
    record.prompt_tokens = 12;
    record.cached_tokens = 4;
    record.generated_tokens = 9;
    record.finish = FinishReason::kLength;
    record.arrived_at = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
    record.arrived = serve::RequestRecord::Clock::time_point(std::chrono::seconds(50));
    record.leased = record.arrived + milliseconds(10);
    record.begun = record.arrived + milliseconds(30);
    record.first_token = record.arrived + milliseconds(60);
    record.last_token = record.arrived + milliseconds(100);
    record.ended = record.arrived + milliseconds(101);
    return record;
}

std::map<std::string, otlp::AnyValue> attributes_of(const otlp::Span& span) {
    std::map<std::string, otlp::AnyValue> out;
    for (const otlp::KeyValue& attribute : span.attributes()) out.emplace(attribute.key(), attribute.value());
    return out;
}

TEST(RequestSpans, HaveTheNamesOfTheConventions) {
    const auto spans = spans_of(ended_record());
    ASSERT_EQ(spans.size(), 5U);
    const otlp::Span& span = spans[0];
    EXPECT_EQ(span.name(), "chat toy");
    EXPECT_EQ(span.kind(), otlp::Span::KIND_SERVER);
    EXPECT_EQ(span.trace_id().size(), 16U);
    EXPECT_EQ(span.span_id().size(), 8U);
    EXPECT_TRUE(span.parent_span_id().empty());
    EXPECT_EQ(span.start_time_unix_nano(), 1'700'000'000'000'000'000U);
    EXPECT_EQ(span.end_time_unix_nano() - span.start_time_unix_nano(), 101'000'000U);
    EXPECT_EQ(span.status().code(), otlp::Status::CODE_UNSET);
    const auto told = attributes_of(span);
    EXPECT_EQ(told.at("gen_ai.operation.name").string_value(), "chat");
    EXPECT_EQ(told.at("gen_ai.provider.name").string_value(), "sutazai");
    EXPECT_EQ(told.at("gen_ai.request.model").string_value(), "toy");
    EXPECT_EQ(told.at("gen_ai.request.max_tokens").int_value(), 16);
    EXPECT_EQ(told.at("gen_ai.request.temperature").double_value(), 0.5);
    EXPECT_EQ(told.at("gen_ai.usage.input_tokens").int_value(), 12);
    EXPECT_EQ(told.at("gen_ai.usage.output_tokens").int_value(), 9);
    EXPECT_EQ(told.at("gen_ai.response.finish_reasons").array_value().values(0).string_value(), "length");
    EXPECT_FALSE(told.contains("error.type"));
    const char* const names[] = {"model", "queue", "prompt", "generate"};
    for (std::size_t i = 1; i < spans.size(); ++i) {
        EXPECT_EQ(spans[i].name(), names[i - 1]);
        EXPECT_EQ(spans[i].trace_id(), span.trace_id());
        EXPECT_EQ(spans[i].parent_span_id(), span.span_id());
        EXPECT_GE(spans[i].start_time_unix_nano(), spans[i - 1].start_time_unix_nano());
    }
    EXPECT_EQ(spans[2].end_time_unix_nano(), spans[3].start_time_unix_nano()) << "the parts follow one another";
}

TEST(RequestSpans, ContinueTheTraceOfWhoeverAsked) {
    serve::RequestRecord record = ended_record();
    record.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto spans = spans_of(record);
    ASSERT_FALSE(spans.empty());
    EXPECT_EQ(spans[0].trace_id(), "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36");
    EXPECT_EQ(spans[0].parent_span_id(), std::string("\x00\xf0\x67\xaa\x0b\xa9\x02\xb7", 8));
    record.traceparent.back() = '0';
    EXPECT_TRUE(spans_of(record).empty()) << "it said that it is not sampled";
}

TEST(RequestSpans, OneThatFailedSaysWhereItEnded) {
    serve::RequestRecord record = ended_record();
    record.leased = record.begun = record.first_token = record.last_token = {};
    record.error = ErrorCode::kLoadFailed;
    record.model = "no\nsuch";
    const auto spans = spans_of(record);
    ASSERT_EQ(spans.size(), 2U);
    EXPECT_EQ(spans[0].status().code(), otlp::Status::CODE_ERROR);
    EXPECT_EQ(attributes_of(spans[0]).at("error.type").string_value(), "load_failed");
    EXPECT_FALSE(attributes_of(spans[0]).contains("gen_ai.response.model"));
    EXPECT_EQ(spans[0].name(), "chat no\\nsuch");
    EXPECT_EQ(spans[1].name(), "model");
    EXPECT_EQ(spans[1].end_time_unix_nano(), spans[0].end_time_unix_nano());
}

TEST(RequestSpans, GoInOneMessage) {
    const auto message = export_request(spans_of(ended_record()), "1.2.3");
    ASSERT_EQ(message.resource_spans_size(), 1);
    EXPECT_EQ(message.resource_spans(0).resource().attributes(0).value().string_value(), "sutazai");
    EXPECT_EQ(message.resource_spans(0).resource().attributes(1).value().string_value(), "1.2.3");
    EXPECT_EQ(message.resource_spans(0).scope_spans(0).spans_size(), 5);
}

}  // namespace
}  // namespace sutazai::spans
