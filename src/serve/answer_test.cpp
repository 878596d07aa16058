#include "serve/answer.h"

#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "serve/formats.h"
#include "serve/testing/plain_format.h"
#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing_support::all_requests_end;
using testing_support::chat;
using testing_support::PlainFormat;
using testing_support::TestSink;

const Caller kNobody;

AnswerRequest answer_of(std::initializer_list<const char*> commands) {
    AnswerRequest request;
    for (const char* command : commands) request.generations.push_back(chat(command));
    request.make_format = [](std::string model) { return std::make_unique<PlainFormat>(std::move(model)); };
    return request;
}

class AnswerTest : public testing_support::ServeTest {};

asio::awaitable<void> stream(Context& context, AnswerRequest request, TestSink& sink, Result<void>& done) {
    done = co_await stream_answer(context, kNobody, std::move(request), sink);
}

asio::awaitable<void> whole(Context& context, AnswerRequest request, Result<std::string>& text) {
    text = co_await whole_answer(context, kNobody, std::move(request));
}

TEST_F(AnswerTest, AStreamTellsOfEachUpdateAndOfTheEnd) {
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, answer_of({"pace 3"}), sink, done); });
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(sink.finished);
    EXPECT_GT(sink.flushed.size(), 1U) << "what has come is handed on before the rest";
    const std::string text = sink.text();
    EXPECT_TRUE(text.starts_with("start m; 0: t0")) << text;
    EXPECT_TRUE(text.ends_with(" t2; 0 ends; all end, 3 tokens; ")) << text;
}

AnswerRequest openai_chat_of(const char* command) {
    api::openai::OpenAiChatRequest request;
    request.generation = chat(command);
    return openai_chat(std::move(request));
}

TEST_F(AnswerTest, ReasoningAndToolCallsArriveAsWhatTheyAre) {
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, openai_chat_of("call 4"), sink, done); });
    ASSERT_TRUE(done) << done.error().message;
    const std::string events = sink.text();
    for (const char* part :
         {R"({"reasoning_content":"hm")", R"("id":"call_1","type":"function","function":{"name":"f")",
          R"("finish_reason":"tool_calls")"}) {
        EXPECT_NE(events.find(part), std::string::npos) << part << " in " << events;
    }
    Result<std::string> text;
    run([&](Context& context) { return whole(context, openai_chat_of("call 4"), text); });
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_NE(text->find(R"("content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[{"id":"call_1",)"
                         R"("type":"function","function":{"name":"f","arguments":"[23"}}])"),
              std::string::npos)
        << *text;
}

TEST_F(AnswerTest, SeveralGenerationsAreOneStream) {
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, answer_of({"count 2", "count 3"}), sink, done); });
    ASSERT_TRUE(done) << done.error().message;
    for (const char* part : {"0 ends; ", "1 ends; ", "all end, 5 tokens; "}) {
        EXPECT_NE(sink.text().find(part), std::string::npos) << sink.text();
    }
}

TEST_F(AnswerTest, AStreamBeginsWhileItsPromptIsComputed) {
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, answer_of({"toil 100"}), sink, done); });
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(sink.flushed, (std::vector<std::string>{"start m; ", "0 ends; all end, 100 tokens; "}));
}

TEST_F(AnswerTest, WhatIsRefusedBeforeTheFirstEventLeavesTheSinkUntouched) {
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, answer_of({"fail 0"}), sink, done); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kContextOverflow);
    EXPECT_EQ(done.error().field, "messages#0") << "in the words of the request";
    EXPECT_FALSE(sink.touched);
}

TEST_F(AnswerTest, StreamingThatIsSwitchedOffIsRefused) {
    settings_.streaming_enabled = false;
    TestSink sink;
    Result<void> done;
    run([&](Context& context) { return stream(context, answer_of({"count 1"}), sink, done); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kForbidden);
    EXPECT_FALSE(sink.touched);
}

TEST_F(AnswerTest, AnUnknownModelIsRefused) {
    TestSink sink;
    Result<void> done;
    AnswerRequest request = answer_of({"count 1"});
    request.model = "nobody";
    run([&](Context& context) { return stream(context, std::move(request), sink, done); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(done.error().field, "model");
    EXPECT_FALSE(sink.touched);
}

TEST_F(AnswerTest, AnErrorInMidStreamIsTheLastEvent) {
    TestSink sink;
    Result<void> done;
    // More tokens than fit the socket, so that the first ones are read before the end is written.
    run([&](Context& context) { return stream(context, answer_of({"fail 20000"}), sink, done); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kContextOverflow);
    EXPECT_TRUE(sink.finished) << "it is told properly";
    EXPECT_TRUE(sink.text().starts_with("start m; 0: t0"));
    EXPECT_TRUE(sink.text().ends_with("; error in messages#0; "));
}

asio::awaitable<void> stream_to_one_who_leaves(Context& context, TestSink& sink, Result<void>& done) {
    AnswerRequest request = answer_of({"pace 100000"});
    done = co_await stream_answer(context, kNobody, std::move(request), sink);
    EXPECT_TRUE(co_await all_requests_end(context));
}

TEST_F(AnswerTest, ASinkThatTakesNoMoreEndsTheGeneration) {
    TestSink sink;
    sink.takes = 3;
    Result<void> done;
    run([&](Context& context) { return stream_to_one_who_leaves(context, sink, done); });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::kCancelled);
    EXPECT_FALSE(sink.finished);
}

asio::awaitable<void> cancelled_stream(Context& context, TestSink& sink) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor);
    // The load must not be what is cancelled.
    const auto loaded = co_await context.models.warm("m");
    AnswerRequest request = answer_of({"pace 100000", "pace 100000"});
    timer.expires_after(60ms);
    co_await (stream_answer(context, kNobody, std::move(request), sink) || timer.async_wait(asio::use_awaitable));
    EXPECT_TRUE(sink.text().starts_with("start m; "));
    EXPECT_FALSE(sink.finished);
    EXPECT_TRUE(co_await all_requests_end(context));
}

TEST_F(AnswerTest, ACancelledStreamEndsItsGenerations) {
    TestSink sink;
    run([&](Context& context) { return cancelled_stream(context, sink); });
}

TEST_F(AnswerTest, AWholeAnswerIsWhatTheFormatMakesOfAllChoices) {
    Result<std::string> text;
    run([&](Context& context) { return whole(context, answer_of({"count 2", "count 1"}), text); });
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, "m| t0 t1| t0");
}

TEST_F(AnswerTest, AWholeAnswerFailsWithItsFirstError) {
    Result<std::string> text;
    run([&](Context& context) { return whole(context, answer_of({"pace 100000", "fail 2"}), text); });
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().field, "messages#1");
}

asio::awaitable<void> good_and_bad(Context& context, AnswerRequest good, AnswerRequest bad, double& mean_s) {
    EXPECT_TRUE(co_await whole_answer(context, kNobody, std::move(good)));
    mean_s = context.requests.metrics().at("m").e2e.mean_s();
    EXPECT_FALSE(co_await whole_answer(context, kNobody, std::move(bad)));
    EXPECT_EQ(context.requests.metrics().at("m").e2e.mean_s(), mean_s) << "what fails has no latency";
}

TEST_F(AnswerTest, WhatEndsWellIsInTheLatencies) {
    double mean_s = 0;
    run([&](Context& context) { return good_and_bad(context, answer_of({"count 1"}), answer_of({"fail 0"}), mean_s); });
    EXPECT_GT(mean_s, 0);
}

}  // namespace
}  // namespace sutazai::serve
