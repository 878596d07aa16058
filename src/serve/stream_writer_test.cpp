#include "serve/stream_writer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <utility>

#include "serve/testing/plain_format.h"
#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using testing_support::PlainFormat;
using testing_support::TestSink;

class StreamWriterTest : public testing::Test {
  protected:
    Result<void> run(asio::awaitable<Result<void>> task) {
        Result<void> result = fail(ErrorCode::kInternal, "never ended");
        asio::co_spawn(io_, std::move(task),
                       [&](const std::exception_ptr&, Result<void> value) { result = std::move(value); });
        io_.restart();
        io_.run();
        return result;
    }

    static Generations::Event event(std::size_t index, std::string text) {
        Generations::Event event{index, {}};
        event.update.delta.content = std::move(text);
        return event;
    }

    /// One whose JSON takes more than a millisecond.
    static Generations::Event heavy(std::size_t index, std::string text) {
        Generations::Event made = event(index, std::move(text));
        made.update.scores.resize(10'000);
        made.update.finished = Finished{};
        return made;
    }

    asio::io_context io_;  // outlives the pools, whose threads post to it
    TestSink sink_;
    std::shared_ptr<AnswerFormat> format_ = std::make_shared<PlainFormat>("m");
};

TEST_F(StreamWriterTest, WhatHasComeIsOneFlush) {
    BlockingPool pool;
    StreamWriter writer(pool, format_, 2, sink_);
    std::vector<Generations::Event> events{event(0, "a"), event(1, "b")};
    EXPECT_TRUE(run(writer.take(events, false)));
    events = {event(1, "")};
    EXPECT_TRUE(run(writer.take(events, false)));
    events = {event(1, "c")};
    EXPECT_TRUE(run(writer.take(events, true)));
    EXPECT_EQ(sink_.flushed, (std::vector<std::string>{"start m; 0:a; 1:b; "})) << "nothing new, and then the last";
    EXPECT_TRUE(run(writer.finish()));
    EXPECT_EQ(sink_.flushed.back(), "1:c; all end, 0 tokens; ");
    EXPECT_TRUE(sink_.finished);
}

TEST_F(StreamWriterTest, OneErrorAmongTheFirstEventsRefusesAll) {
    BlockingPool pool;
    StreamWriter writer(pool, format_, 2, sink_);
    std::vector<Generations::Event> events{event(0, "a"), event(1, "")};
    events[1].update.error = Error{ErrorCode::kQueueFull, "full"};
    const auto taken = run(writer.take(events, false));
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::kQueueFull);
    EXPECT_FALSE(sink_.touched);
}

TEST_F(StreamWriterTest, AnErrorAfterTheBeginningIsTold) {
    BlockingPool pool;
    StreamWriter writer(pool, format_, 1, sink_);
    EXPECT_TRUE(run(writer.begin()));
    EXPECT_EQ(sink_.text(), "start m; ");
    std::vector<Generations::Event> events{event(0, "a")};
    events[0].update.error = Error{ErrorCode::kEngineDied, "dead", "x"};
    EXPECT_FALSE(run(writer.take(events, true)));
    EXPECT_EQ(sink_.flushed.back(), "0:a; error in x; ");
    EXPECT_TRUE(sink_.finished);
}

TEST_F(StreamWriterTest, LargeUpdatesKeepTheirPlace) {
    BlockingPool pool;
    StreamWriter writer(pool, format_, 3, sink_);
    std::vector<Generations::Event> events{event(0, "a"), heavy(1, "b"), event(2, "c")};
    EXPECT_TRUE(run(writer.take(events, false)));
    EXPECT_EQ(sink_.text(), "start m; 0:a; 1:b; 1 ends; 2:c; ");
}

TEST_F(StreamWriterTest, WhatCannotBeEncodedEndsTheAnswerWithAnError) {
    BlockingPool full(1, 0);
    StreamWriter writer(full, format_, 1, sink_);
    std::vector<Generations::Event> events{heavy(0, "a")};
    const auto taken = run(writer.take(events, true));
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(sink_.text(), "start m; error in ; ");
    EXPECT_TRUE(sink_.finished);
}

}  // namespace
}  // namespace sutazai::serve
