// The thread of slow draws: what the watchdog sees of it, and what becomes of it when a draw throws.
#include "engine/slow_draws.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

namespace sutazai::engine {
namespace {

using namespace std::chrono_literals;

void must_not_die(const std::string& why) {
    ADD_FAILURE() << why;
}

TEST(SlowDraws, OneThatHangsShowsNoProgressAndTheNextDoes) {
    std::promise<void> begun;
    std::promise<void> let_go;
    std::promise<void> next_begun;
    std::promise<void> next_let_go;
    SlowDraws draws(must_not_die);
    EXPECT_FALSE(draws.progress().at_work());
    draws.post([&] {
        begun.set_value();
        let_go.get_future().wait();
    });
    draws.post([&] {
        next_begun.set_value();
        next_let_go.get_future().wait();
    });
    begun.get_future().wait();
    const std::uint64_t at_first = draws.progress().count();
    EXPECT_TRUE(draws.progress().at_work());
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(draws.progress().count(), at_first) << "it has not got on";
    let_go.set_value();
    next_begun.get_future().wait();
    EXPECT_TRUE(draws.progress().at_work());
    EXPECT_NE(draws.progress().count(), at_first);
    next_let_go.set_value();
    while (draws.progress().at_work()) std::this_thread::yield();
}

TEST(SlowDraws, AnExceptionIsTheThreadsDeathAndSaysWhy) {
    std::promise<std::string> died;
    SlowDraws draws([&](const std::string& why) { died.set_value(why); });
    draws.post([] { throw std::runtime_error("there is no memory"); });
    auto why = died.get_future();
    ASSERT_EQ(why.wait_for(60s), std::future_status::ready);
    EXPECT_EQ(why.get(), "the thread of slow draws died: there is no memory");
}

TEST(SlowDraws, TheEndDropsWhatHasNotBegun) {
    std::promise<void> begun;
    std::atomic<bool> has_ended = false;
    std::atomic<bool> next_ran = false;
    {
        SlowDraws draws(must_not_die);
        draws.post([&] {
            begun.set_value();
            std::this_thread::sleep_for(20ms);
            has_ended = true;
        });
        draws.post([&] { next_ran = true; });
        begun.get_future().wait();
    }
    EXPECT_TRUE(has_ended);
    EXPECT_FALSE(next_ran);
}

TEST(SlowDrawsDeathTest, TheUsualEndOfAThreadIsThatOfTheProcess) {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    EXPECT_EXIT(
        {
            spdlog::set_default_logger(spdlog::stderr_logger_mt("death"));
            SlowDraws draws(end_process);
            draws.post([] { throw std::runtime_error("there is no memory"); });
            std::this_thread::sleep_for(60s);
        },
        testing::ExitedWithCode(1), "the thread of slow draws died: there is no memory");
}

}  // namespace
}  // namespace sutazai::engine
