#include "serve/request_book.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "serve/request_id.h"
#include "serve/testing/hand_engine.h"

namespace sutazai::serve {
namespace {

using std::chrono::microseconds;
using testing_support::HandEngine;
using testing_support::requests;

class RequestBookTest : public ::testing::Test {
  protected:
    static Generations::Event text(std::size_t index, std::string content) {
        GenerationUpdate update;
        update.delta.content = std::move(content);
        update.n_tokens = 1;
        return {index, std::move(update)};
    }
    static Generations::Event end(std::size_t index, const Finished& finished) {
        GenerationUpdate update;
        update.finished = finished;
        return {index, std::move(update)};
    }
    static void take(OpenRequest& open, Generations::Event event) { open.take(std::span(&event, 1)); }

    config::Settings settings_;
    RequestBook book_{settings_};
};

TEST_F(RequestBookTest, ARecordFollowsItsRequest) {
    Caller caller;
    caller.request_id = "mine";
    caller.tenant = "t";
    {
        OpenRequest open(book_, caller, "m", requests(1).front(), 2, true);
        const RequestRecord& record = open.record();
        EXPECT_EQ(record.id, "mine");
        EXPECT_EQ(record.tenant, "t");
        EXPECT_EQ(record.operation, Operation::kCompletion);
        EXPECT_EQ(record.phase(), Phase::kModel);
        EXPECT_STREQ(record.outcome(), "");
        ASSERT_EQ(book_.open().size(), 1U);

        take(open, text(1, "a"));
        EXPECT_EQ(record.phase(), Phase::kGenerating);
        take(open, text(1, "b"));
        take(open, end(1, {FinishReason::kLength, {7, 2, 3, 1}, {microseconds(5), microseconds(6), microseconds(7)}}));
        EXPECT_EQ(record.n_ended, 1U);
        take(open, end(0, {FinishReason::kStop, {7, 0, 4, 0}, {microseconds(1), microseconds(1), microseconds(1)}}));
        EXPECT_EQ(record.n_ended, 2U);
        EXPECT_EQ(record.prompt_tokens, 14U);
        EXPECT_EQ(record.cached_tokens, 7U);
        EXPECT_EQ(record.generated_tokens, 2U);
        EXPECT_EQ(record.reasoning_tokens, 1U);
        EXPECT_EQ(record.timings.prefill, microseconds(6)) << "of the one that took longest";
        open.end(nullptr);
    }
    EXPECT_TRUE(book_.open().empty());
    EXPECT_EQ(book_.n_ended(), 1U);
    ASSERT_EQ(book_.ended().size(), 1U);
    EXPECT_STREQ(book_.ended().back().outcome(), "stop");
    EXPECT_EQ(book_.ended().back().phase(), Phase::kEnded);
}

TEST_F(RequestBookTest, OneThatIsLetGoIsCancelled) {
    { const OpenRequest open(book_, {}, "m", requests(1).front(), 1); }
    ASSERT_EQ(book_.ended().size(), 1U);
    EXPECT_STREQ(book_.ended().back().outcome(), "cancelled");
    EXPECT_TRUE(is_request_id(book_.ended().back().id)) << "it gets an id when it has none";
}

TEST_F(RequestBookTest, AnErrorIsTheOutcome) {
    {
        OpenRequest open(book_, {}, "m", requests(1).front(), 1);
        open.end(Result<void>(fail(ErrorCode::kQueueFull, "no")));
    }
    EXPECT_STREQ(book_.ended().back().outcome(), "queue_full");
    EXPECT_EQ(book_.metrics().at("").outcomes.at("queue_full"), 1U) << "it had no model yet";
    EXPECT_EQ(book_.metrics().at("").e2e.count(), 0U) << "what fails has no latency";
}

TEST_F(RequestBookTest, PromptsAddUpAndAreHeardOfWithoutAnUpdate) {
    HandEngine engine;
    OpenRequest open(book_, {}, "m", requests(1).front(), 2);
    Generations generations(engine, requests(2), 2);
    open.listen_to(generations);
    engine.channels.at(0)->note_prompt(
        {.prompt_tokens = 10, .ready_tokens = 4, .kept_tokens = 4, .queued = microseconds(9)});
    EXPECT_TRUE(open.record().begun);
    engine.channels.at(0)->note_prompt(
        {.prompt_tokens = 10, .ready_tokens = 9, .kept_tokens = 4, .queued = microseconds(9)});
    engine.channels.at(1)->note_prompt(
        {.prompt_tokens = 5, .ready_tokens = 5, .shared_tokens = 1, .queued = microseconds(2)});
    const PromptProgress& prompt = open.record().prompt;
    EXPECT_EQ(prompt.prompt_tokens, 15U);
    EXPECT_EQ(prompt.ready_tokens, 14U);
    EXPECT_EQ(prompt.kept_tokens, 4U);
    EXPECT_EQ(prompt.shared_tokens, 1U);
    EXPECT_EQ(prompt.cached_tokens(), 5U);
    EXPECT_EQ(prompt.queued, microseconds(9));
    EXPECT_FALSE(generations.has_events());
}

TEST_F(RequestBookTest, KeepsTheLastOnes) {
    for (std::size_t i = 0; i < RequestBook::kMostEnded + 5; ++i) {
        OpenRequest open(book_, {}, "m", requests(1).front(), 1);
        open.end(nullptr);
    }
    EXPECT_EQ(book_.ended().size(), RequestBook::kMostEnded);
    EXPECT_EQ(book_.ended().front().number, 6U);
    EXPECT_EQ(book_.n_ended(), RequestBook::kMostEnded + 5);
}

TEST_F(RequestBookTest, MeasuresNothingWhenThatIsOff) {
    settings_.performance_monitoring = false;
    {
        OpenRequest open(book_, {}, "m", requests(1).front(), 1);
        take(open, text(0, "a"));
        open.end(nullptr);
    }
    EXPECT_TRUE(book_.metrics().empty());
    EXPECT_TRUE(book_.ended().empty());
    EXPECT_EQ(book_.n_ended(), 1U);
}

TEST(RequestIds, AreTakenOverOnlyWhenTheyAreHarmless) {
    EXPECT_TRUE(is_request_id("a"));
    EXPECT_TRUE(is_request_id("7f9a-B_c.d:e/f+g=h@i"));
    EXPECT_TRUE(is_request_id(std::string(kMostRequestIdBytes, 'x')));
    EXPECT_FALSE(is_request_id(""));
    EXPECT_FALSE(is_request_id(std::string(kMostRequestIdBytes + 1, 'x')));
    for (const char* wrong : {"a b", "a\r\nX: y", "\"", "a;b", "\xc3\xa4", "<a>"}) EXPECT_FALSE(is_request_id(wrong));
    const std::string id = new_request_id();
    EXPECT_TRUE(id.starts_with("req_"));
    EXPECT_EQ(id.size(), 28U);
    EXPECT_TRUE(is_request_id(id));
    EXPECT_NE(id, new_request_id());
}

TEST(Traceparent, HasItsShape) {
    EXPECT_TRUE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    for (const char* wrong : {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                              "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                              "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                              "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                              "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                              "00 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
        EXPECT_FALSE(is_traceparent(wrong)) << wrong;
    }
}

TEST(RateMeter, SaysWhatComesASecond) {
    using Clock = RateMeter::Clock;
    RateMeter rate;
    const Clock::time_point begin{std::chrono::seconds(1000)};
    for (int s = 0; s < 20; ++s) rate.add(50, begin + std::chrono::seconds(s));
    EXPECT_DOUBLE_EQ(rate.per_s(begin + std::chrono::seconds(20)), 50);
    EXPECT_DOUBLE_EQ(rate.per_s(begin + std::chrono::seconds(24)), 30);
    EXPECT_DOUBLE_EQ(rate.per_s(begin + std::chrono::seconds(60)), 0);
}

}  // namespace
}  // namespace sutazai::serve
