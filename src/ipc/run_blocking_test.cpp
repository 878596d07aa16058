#include "ipc/run_blocking.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace sutazai::ipc {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Runs `body` as a coroutine to its end; what it throws comes out.
template <typename Body>
void run(asio::io_context& io, Body body) {
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(body), [&](const std::exception_ptr& error) { thrown = error; });
    io.run();
    io.restart();
    if (thrown) std::rethrow_exception(thrown);
}

TEST(RunBlocking, ComesBackWithTheResultOnItsOwnThread) {
    asio::io_context io(1);
    BlockingPool pool;
    run(io, [&]() -> asio::awaitable<void> {
        const auto here = std::this_thread::get_id();
        std::thread::id there;
        auto work = [&] {
            there = std::this_thread::get_id();
            return std::string("done");
        };
        const Result<std::string> got = co_await run_blocking(pool, work);
        EXPECT_EQ(std::this_thread::get_id(), here);
        EXPECT_NE(there, here);
        EXPECT_EQ(got.value(), "done");
    });
}

TEST(RunBlocking, TakesWorkThatReturnsNothingOrAResult) {
    asio::io_context io(1);
    BlockingPool pool;
    run(io, [&]() -> asio::awaitable<void> {
        bool done = false;
        auto set = [&] { done = true; };
        const Result<void> nothing = co_await run_blocking(pool, set);
        EXPECT_TRUE(nothing.has_value());
        EXPECT_TRUE(done);
        auto look = []() -> Result<int> { return fail(ErrorCode::kNotFound, "no such file"); };
        const Result<int> error = co_await run_blocking(pool, look);
        EXPECT_EQ(error.error().code, ErrorCode::kNotFound);
    });
}

TEST(RunBlocking, AnExceptionBecomesAnError) {
    asio::io_context io(1);
    BlockingPool pool;
    run(io, [&]() -> asio::awaitable<void> {
        auto burn = []() -> int { throw std::runtime_error("disk on fire"); };
        const Result<int> known = co_await run_blocking(pool, burn);
        EXPECT_EQ(known.error().code, ErrorCode::kInternal);
        EXPECT_EQ(known.error().message, "disk on fire");
        auto odd = [] { throw 7; };
        const Result<void> unknown = co_await run_blocking(pool, odd);
        EXPECT_EQ(unknown.error().code, ErrorCode::kInternal);
    });
}

TEST(RunBlocking, WorkThatHasNoPlaceIsAnError) {
    asio::io_context io(1);
    BlockingPool pool(1, 0);
    run(io, [&]() -> asio::awaitable<void> {
        auto work = [] { return 1; };
        const Result<int> refused = co_await run_blocking(pool, work);
        EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(refused.error().retry_after_s, 1);
    });
}

/// Counts how often it is destroyed without having been moved from.
struct Counted {
    explicit Counted(int* count) : ends(count) {}
    Counted(Counted&& other) noexcept : ends(std::exchange(other.ends, nullptr)) {}
    ~Counted() {
        if (ends != nullptr) ++*ends;
    }
    int* ends;
};

TEST(RunBlocking, WhatTheWorkOwnsEndsOnceAndBeforeTheResultIsThere) {
    asio::io_context io(1);
    BlockingPool pool;
    run(io, [&]() -> asio::awaitable<void> {
        for (int i = 1; i <= 100; ++i) {
            int ends = 0;
            auto work = [owned = Counted(&ends), text = std::string(100, 'x')] {
                return static_cast<int>(text.size());
            };
            const Result<int> got = co_await run_blocking(pool, work);
            EXPECT_EQ(got.value(), 100);
            EXPECT_EQ(ends, 1);
        }
    });
}

/// A coroutine that waits for work which lasts until the test lets it end.
struct CancelledWait : testing::Test {
    asio::io_context io{1};
    BlockingPool pool{1};
    asio::cancellation_signal cancel;
    std::promise<void> started, go_on;
    std::shared_future<void> gate = go_on.get_future().share();
    std::exception_ptr thrown;

    void wait_for(std::function<void()> work) {
        asio::co_spawn(
            io,
            [this, work]() mutable -> asio::awaitable<void> {
                static_cast<void>(co_await run_blocking(pool, work));
                ADD_FAILURE() << "the wait was not cancelled";
            },
            asio::bind_cancellation_slot(cancel.slot(), [this](const std::exception_ptr& error) { thrown = error; }));
    }
    [[nodiscard]] bool was_aborted() const {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& error) {
            return error.code() == asio::error::operation_aborted;
        }
        return false;
    }
};

TEST_F(CancelledWait, EndsAtOnceWhileTheWorkGoesOn) {
    auto done = std::make_shared<std::atomic<bool>>(false);
    wait_for([this, done, held = gate] {
        started.set_value();
        held.wait();
        *done = true;
    });
    io.poll();
    started.get_future().wait();
    cancel.emit(asio::cancellation_type::terminal);
    io.run();  // returns although the work has not ended
    EXPECT_TRUE(was_aborted());
    EXPECT_FALSE(*done);
    go_on.set_value();
}

TEST_F(CancelledWait, WorkThatHasNotBegunIsNotDone) {
    ASSERT_TRUE(pool.post([held = gate] { held.wait(); }));
    auto done = std::make_shared<std::atomic<bool>>(false);
    wait_for([done] { *done = true; });
    io.poll();
    cancel.emit(asio::cancellation_type::terminal);
    io.run();
    EXPECT_TRUE(was_aborted());
    go_on.set_value();
    std::promise<void> after;
    ASSERT_TRUE(pool.post([&] { after.set_value(); }));
    after.get_future().wait();
    EXPECT_FALSE(*done);
}

TEST(RunBlocking, CancellingAtAnyMomentIsSafe) {
    asio::io_context io(1);
    BlockingPool pool(2);
    for (int round = 0; round < 500; ++round) {
        asio::cancellation_signal cancel;
        bool ended = false;
        asio::co_spawn(
            io,
            [&, round]() -> asio::awaitable<void> {
                auto work = [text = std::string(50, 'x'), round] {
                    if (round % 3 == 0) std::this_thread::sleep_for(50us);
                    return text;
                };
                static_cast<void>(co_await run_blocking(pool, work));
            },
            asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr&) { ended = true; }));
        io.poll();
        if (round % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(round % 100));
        cancel.emit(asio::cancellation_type::terminal);
        io.restart();
        io.run();
        io.restart();
        EXPECT_TRUE(ended);
    }
}

TEST(RunBlocking, APoolOrAnEventLoopThatEndsLeavesNothingBehind) {
    for (const bool loop_runs : {true, false}) {
        int ends = 0;
        {
            asio::io_context io(1);
            {
                BlockingPool pool(1);
                asio::co_spawn(
                    io,
                    [&]() -> asio::awaitable<void> {
                        const Counted local(&ends);
                        auto work = [] { std::this_thread::sleep_for(5ms); };
                        static_cast<void>(co_await run_blocking(pool, work));
                    },
                    [](const std::exception_ptr&) {});
                io.poll();
            }
            io.restart();
            if (loop_runs) io.run();
        }
        EXPECT_EQ(ends, 1) << loop_runs;
    }
}

}  // namespace
}  // namespace sutazai::ipc
