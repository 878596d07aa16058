#include "serve/jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <latch>
#include <stdexcept>
#include <thread>
#include <utility>

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class JobsTest : public testing::Test {
  public:
    void run(asio::awaitable<void> test) {
        asio::co_spawn(io_, std::move(test), [](const std::exception_ptr& thrown) {
            if (thrown) std::rethrow_exception(thrown);
        });
        io_.run();
    }
    /// Everything that a watcher of the job is told, and how it ends.
    asio::awaitable<Result<void>> watch(std::string key, Jobs::Work work, std::vector<WorkProgress>& told) {
        auto watch = co_await jobs_.watch(std::move(key), std::move(work));
        if (!watch) co_return std::unexpected(watch.error());
        for (;;) {
            auto news = co_await watch->next();
            told.insert(told.end(), news.begin(), news.end());
            if (news.empty()) co_return *watch->result();
        }
    }
    static asio::awaitable<void> sleep(std::chrono::milliseconds time) {
        asio::steady_timer timer(co_await asio::this_coro::executor, time);
        co_await timer.async_wait(asio::use_awaitable);
    }
    Jobs::Work until_stopped() {
        return [&n_stopped = n_stopped_](const std::stop_token& stop, const ProgressSink& tell) -> Result<void> {
            tell({"waiting"});
            while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
            ++n_stopped;
            return fail(ErrorCode::kCancelled, "cancelled");
        };
    }

    std::atomic<int> n_stopped_ = 0;
    asio::io_context io_{1};
    Jobs jobs_{io_.get_executor()};
};

TEST_F(JobsTest, TellsOfEveryStatusAndOfEachFileTheLatest) {
    run([](JobsTest& self) -> asio::awaitable<void> {
        std::vector<WorkProgress> told;
        Jobs::Work work = [](const std::stop_token&, const ProgressSink& tell) -> Result<void> {
            tell({"first"});
            for (std::uint64_t n = 0; n <= 100'000; ++n) tell({"moving", n % 2 == 0 ? "a" : "b", 100'000, n});
            tell({"last"});
            return {};
        };
        const auto done = co_await self.watch("k", std::move(work), told);
        EXPECT_TRUE(done);
        EXPECT_LT(told.size(), 100U) << "not every byte is news";
        EXPECT_EQ(told.front().status, "first");
        EXPECT_EQ(told.back().status, "last");
        const auto of = [&](const char* digest) {
            std::uint64_t most = 0;
            for (const WorkProgress& one : told) {
                if (one.digest == digest) most = one.completed;
            }
            return most;
        };
        EXPECT_EQ(of("a"), 100'000U);
        EXPECT_EQ(of("b"), 99'999U);
        // Its end is told by its thread, and noted by ours a moment later.
        for (int n = 0; n < 1000 && self.jobs_.running() > 0; ++n) co_await sleep(1ms);
        EXPECT_EQ(self.jobs_.running(), 0U);
    }(*this));
}

TEST_F(JobsTest, ErrorsAndExceptionsAreItsEnd) {
    run([](JobsTest& self) -> asio::awaitable<void> {
        std::vector<WorkProgress> told;
        Jobs::Work fails = [](const std::stop_token&, const ProgressSink&) -> Result<void> {
            return fail(ErrorCode::kNotFound, "nothing there");
        };
        const auto failed = co_await self.watch("k", std::move(fails), told);
        EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
        Jobs::Work throws = [](const std::stop_token&, const ProgressSink&) -> Result<void> {
            throw std::runtime_error("surprise");
        };
        const auto thrown = co_await self.watch("k", std::move(throws), told);
        EXPECT_EQ(thrown.error().code, ErrorCode::kInternal);
        EXPECT_EQ(thrown.error().message, "surprise");
    }(*this));
}

TEST_F(JobsTest, OneKeyIsOneJob) {
    run([](JobsTest& self) -> asio::awaitable<void> {
        std::latch go(1);
        int n_run = 0;
        const auto work = [&]() -> Jobs::Work {
            return [&](const std::stop_token&, const ProgressSink& tell) -> Result<void> {
                ++n_run;
                tell({"at it"});
                go.wait();
                return {};
            };
        };
        Jobs::Work first = work();
        auto one = co_await self.jobs_.watch("k", std::move(first));
        EXPECT_EQ((co_await one->next()).at(0).status, "at it");
        Jobs::Work second = work();
        auto two = co_await self.jobs_.watch("k", std::move(second));
        EXPECT_EQ((co_await two->next()).at(0).status, "at it") << "who comes late is told all the same";
        EXPECT_EQ(self.jobs_.running(), 1U);
        { const JobWatch gone = std::move(*one); }
        co_await sleep(5ms);
        EXPECT_FALSE(two->result()) << "somebody still watches";
        go.count_down();
        EXPECT_TRUE((co_await two->next()).empty());
        EXPECT_TRUE(two->result()->has_value());
        EXPECT_EQ(n_run, 1);
    }(*this));
}

TEST_F(JobsTest, TheLastWatcherThatGoesCancels) {
    run([](JobsTest& self) -> asio::awaitable<void> {
        // A client that goes away unwinds its coroutine.
        asio::cancellation_signal gone;
        std::vector<WorkProgress> told;
        bool unwound = false;
        Jobs::Work work = self.until_stopped();
        asio::co_spawn(self.io_, self.watch("k", std::move(work), told),
                       asio::bind_cancellation_slot(gone.slot(), [&](const std::exception_ptr& thrown, Result<void>) {
                           unwound = thrown != nullptr;
                       }));
        while (told.empty()) co_await sleep(1ms);
        gone.emit(asio::cancellation_type::terminal);
        while (!unwound) co_await sleep(1ms);
        // The next of this key waits for the end of that one, and is one of its own.
        Jobs::Work next = [&](const std::stop_token&, const ProgressSink&) -> Result<void> {
            EXPECT_EQ(self.n_stopped_, 1) << "two of one key never run side by side";
            return {};
        };
        std::vector<WorkProgress> ignored;
        EXPECT_TRUE(co_await self.watch("k", std::move(next), ignored));
        EXPECT_TRUE(unwound);
        EXPECT_EQ(self.n_stopped_, 1);
    }(*this));
}

TEST_F(JobsTest, NotMoreThanAFewRunAtOnce) {
    run([](JobsTest& self) -> asio::awaitable<void> {
        std::vector<JobWatch> watches;
        for (std::size_t i = 0; i < Jobs::kMostRunning; ++i) {
            Jobs::Work work = self.until_stopped();
            auto watch = co_await self.jobs_.watch(std::to_string(i), std::move(work));
            watches.push_back(std::move(*watch));
        }
        Jobs::Work one_more = self.until_stopped();
        const auto refused = co_await self.jobs_.watch("more", std::move(one_more));
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
        EXPECT_GT(refused.error().retry_after_s, 0);
        Jobs::Work not_needed = self.until_stopped();
        const auto joined = co_await self.jobs_.watch("0", std::move(not_needed));
        EXPECT_TRUE(joined) << "one that runs can be joined";
        watches.clear();
        for (int i = 0; self.jobs_.running() > 1 && i < 5000; ++i) co_await sleep(1ms);
        EXPECT_EQ(self.jobs_.running(), 1U) << "but that which is still watched";
    }(*this));
    EXPECT_GE(n_stopped_, static_cast<int>(Jobs::kMostRunning) - 1);
}

TEST(Jobs, EndWithTheirOwner) {
    asio::io_context io(1);
    std::atomic<bool> stopped = false;
    {
        Jobs jobs(io.get_executor());
        asio::co_spawn(
            io,
            [&]() -> asio::awaitable<void> {
                Jobs::Work work = [&](const std::stop_token& stop, const ProgressSink&) -> Result<void> {
                    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
                    stopped = true;
                    return {};
                };
                auto watch = co_await jobs.watch("k", std::move(work));
                (void)co_await watch->next();
            },
            [](const std::exception_ptr&) {});
        io.run_for(30ms);
        EXPECT_FALSE(stopped);
    }
    EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace sutazai::serve
