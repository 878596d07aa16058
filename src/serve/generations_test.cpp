#include "serve/generations.h"

#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <set>

#include "serve/testing/hand_engine.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

using testing_support::HandEngine;
using testing_support::requests;
using testing_support::run;

asio::awaitable<void> turn() {
    asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> one_is_read_as_it_is(HandEngine& engine) {
    Generations generations(engine, requests(1), 8);
    engine.channels.at(0)->add("a", 1);
    engine.channels.at(0)->add("b", 1);
    auto events = co_await generations.next();
    EXPECT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].update.delta.content, "ab");
    EXPECT_FALSE(generations.ended());
    engine.channels.at(0)->finish({});
    events = co_await generations.next();
    EXPECT_TRUE(events.at(0).update.finished.has_value());
    EXPECT_TRUE(generations.ended());
    EXPECT_TRUE((co_await generations.next()).empty());
}

TEST(Generations, OneIsReadAsItIs) {
    asio::io_context io;
    HandEngine engine;
    run(io, one_is_read_as_it_is(engine));
    EXPECT_TRUE(engine.cancelled.empty());
}

asio::awaitable<void> a_reader_that_dies(HandEngine& engine) {
    Generations generations(engine, requests(4), 2);
    std::map<std::size_t, GenerationUpdate> last;
    engine.channels.at(0)->add("x", 1);
    engine.channels.at(0)->finish({});
    for (auto events = co_await generations.next(); !events.empty(); events = co_await generations.next()) {
        for (auto& event : events) last[event.index] = std::move(event.update);
    }
    EXPECT_EQ(last.size(), 4U);
    EXPECT_TRUE(last[0].finished.has_value());
    for (std::size_t index = 1; index < 4; ++index) {
        EXPECT_TRUE(last[index].error.has_value()) << index;
    }
    EXPECT_TRUE(generations.ended());
}

TEST(Generations, WhenAReaderDiesWhatHasNotEndedFails) {
    asio::io_context io;
    HandEngine engine;
    engine.throws_at = 2;
    run(io, a_reader_that_dies(engine));
    EXPECT_TRUE(engine.cancelled.contains(1)) << "the one that ran";
}

asio::awaitable<void> no_more_than_width(HandEngine& engine) {
    Generations generations(engine, requests(5), 2);
    std::set<std::size_t> ended;
    EXPECT_EQ(engine.prompts.size(), 2U);
    for (std::size_t next = 0; ended.size() < 5;) {
        co_await turn();
        EXPECT_LE(engine.prompts.size(), ended.size() + 2) << "more than two run";
        engine.channels.at(next)->add("x", 1);
        engine.channels.at(next++)->finish({});
        for (const auto& event : co_await generations.next()) {
            EXPECT_EQ(event.update.delta.content, "x");
            if (event.update.last()) ended.insert(event.index);
        }
    }
    EXPECT_TRUE((co_await generations.next()).empty());
    EXPECT_TRUE(generations.ended());
}

TEST(Generations, NoMoreThanWidthRunAtOnceAndInOrder) {
    asio::io_context io;
    HandEngine engine;
    run(io, no_more_than_width(engine));
    EXPECT_EQ(engine.prompts, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
}

asio::awaitable<void> answers_of_one_prompt(HandEngine& engine) {
    auto all = requests(3);
    all[0].n = 3;
    all[1].n = 2;
    EXPECT_EQ(Generations::count(all), 6U);
    Generations generations(engine, std::move(all), 2);
    EXPECT_EQ(engine.prompts.size(), 1U) << "one submission, of as many answers as it asks for";
    EXPECT_EQ(engine.channels.size(), 3U);
    std::map<std::size_t, std::string> texts;
    for (std::size_t next = 0; next < 6; ++next) {
        engine.channels.at(next)->add("of " + std::to_string(next), 1);
        engine.channels.at(next)->finish({});
        for (const auto& event : co_await generations.next()) texts[event.index] += event.update.delta.content;
        co_await turn();
    }
    EXPECT_TRUE(generations.ended());
    for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(texts[i], "of " + std::to_string(i));
}

TEST(Generations, AnswersOfOnePromptAreOneSubmission) {
    asio::io_context io;
    HandEngine engine;
    run(io, answers_of_one_prompt(engine));
    EXPECT_EQ(engine.prompts, (std::vector<std::string>{"0", "1", "2"}));
}

asio::awaitable<void> events_are_merged(HandEngine& engine) {
    Generations generations(engine, requests(2), 2);
    engine.channels.at(1)->add("first", 1);
    auto events = co_await generations.next();
    EXPECT_EQ(events.at(0).index, 1U);
    engine.channels.at(1)->add("a", 1);
    co_await turn();
    GenerationUpdate scored;
    scored.delta.content = "b";
    scored.n_tokens = 1;
    scored.scores = {{{"b", -1}, {}, true}};
    engine.channels.at(1)->add(std::move(scored));
    engine.channels.at(0)->fail({ErrorCode::kQueueFull, "full"});
    co_await turn();
    engine.channels.at(1)->finish({});
    co_await turn();
    events = co_await generations.next();
    EXPECT_EQ(events.size(), 2U);
    for (const auto& event : events) {
        if (event.index == 0) {
            EXPECT_EQ(event.update.error->code, ErrorCode::kQueueFull);
        } else {
            EXPECT_EQ(event.update.delta.content, "ab");
            EXPECT_EQ(event.update.n_tokens, 2U);
            EXPECT_EQ(event.update.scores.size(), 1U);
            EXPECT_TRUE(event.update.finished.has_value());
        }
    }
}

TEST(Generations, WhatASlowReaderHasNotTakenIsOneEvent) {
    asio::io_context io;
    HandEngine engine;
    run(io, events_are_merged(engine));
}

asio::awaitable<void> a_reader_that_is_ahead(HandEngine& engine) {
    Generations generations(engine, requests(2), 2);
    engine.channels.at(0)->add(std::string(70 << 10, 'x'), 1);
    co_await generations.ready();
    engine.channels.at(0)->add("y", 1);
    for (int i = 0; i < 5; ++i) co_await turn();
    EXPECT_EQ(engine.channels.at(0)->unread_bytes(), 1U) << "who writes must be able to tell";
    auto events = co_await generations.next();
    EXPECT_EQ(events.at(0).update.delta.content.size(), std::size_t{70 << 10});
    events = co_await generations.next();
    EXPECT_EQ(events.at(0).update.delta.content, "y");
    engine.channels.at(0)->add(std::string(70 << 10, 'x'), 1);  // it waits when they go
    co_await generations.ready();
}

TEST(Generations, ReadersGoNoFurtherThanWhatIsTaken) {
    asio::io_context io;
    HandEngine engine;
    run(io, a_reader_that_is_ahead(engine));
}

asio::awaitable<void> dropped(HandEngine& engine, std::size_t n) {
    Generations generations(engine, requests(n), 2);
    engine.channels.at(0)->add("a", 1);
    EXPECT_FALSE((co_await generations.next()).empty());
}

TEST(Generations, DroppingThemCancelsThoseThatRun) {
    for (const std::size_t n : {1UL, 2UL, 5UL}) {
        asio::io_context io;
        HandEngine engine;
        run(io, dropped(engine, n));
        EXPECT_EQ(engine.cancelled.size(), std::min<std::size_t>(n, 2)) << n;
        EXPECT_EQ(engine.prompts.size(), std::min<std::size_t>(n, 2)) << "those that wait are never begun";
    }
}

asio::awaitable<void> waits_for_ever(HandEngine& engine, std::size_t n) {
    Generations generations(engine, requests(n), 8);
    while (true) (void)co_await generations.next();
}

asio::awaitable<void> cut_short(HandEngine& engine, std::size_t n) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, 5ms);
    co_await (waits_for_ever(engine, n) || timer.async_wait(asio::use_awaitable));
}

TEST(Generations, ACancelledReaderCancelsThem) {
    for (const std::size_t n : {1UL, 3UL}) {
        asio::io_context io;
        HandEngine engine;
        run(io, cut_short(engine, n));
        EXPECT_EQ(engine.cancelled.size(), n);
    }
}

}  // namespace
}  // namespace sutazai::serve
