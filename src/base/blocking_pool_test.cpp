#include "base/blocking_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <set>
#include <stdexcept>

namespace sutazai {
namespace {

TEST(BlockingPool, DoesAllWorkBeforeItEnds) {
    std::atomic<int> done = 0;
    {
        BlockingPool pool(2);
        for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.post([&] { ++done; }));
    }
    EXPECT_EQ(done, 1000);
}

TEST(BlockingPool, WorksOnAsManyThreadsAsItIsTold) {
    std::latch together(3);
    std::mutex mutex;
    std::set<std::thread::id> threads;
    {
        BlockingPool pool(3);
        for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(pool.post([&] {
                together.arrive_and_wait();  // hangs with fewer threads
                const std::lock_guard lock(mutex);
                threads.insert(std::this_thread::get_id());
            }));
        }
    }
    EXPECT_EQ(threads.size(), 3);
}

TEST(BlockingPool, TakesNoMoreThanItsQueueHolds) {
    std::promise<void> started;
    std::promise<void> go_on;
    int done = 0;
    {
        BlockingPool pool(1, 2);
        ASSERT_TRUE(pool.post([&] {
            started.set_value();
            go_on.get_future().wait();
        }));
        started.get_future().wait();
        EXPECT_TRUE(pool.post([&] { ++done; }));
        EXPECT_TRUE(pool.post([&] { ++done; }));
        EXPECT_FALSE(pool.post([&] { done += 100; }));
        go_on.set_value();
    }
    EXPECT_EQ(done, 2);
}

TEST(BlockingPool, SurvivesWorkThatThrows) {
    std::promise<void> done;
    BlockingPool pool(1);
    ASSERT_TRUE(pool.post([] { throw std::runtime_error("on purpose"); }));
    ASSERT_TRUE(pool.post([] { throw 7; }));
    ASSERT_TRUE(pool.post([&] { done.set_value(); }));
    EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

}  // namespace
}  // namespace sutazai
