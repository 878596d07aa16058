#include "kernels/team_barrier.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace sutazai::kernels {
namespace {

/// Threads count together; none may be a round ahead of another.
void count_together(int n_threads, int rounds, std::chrono::microseconds delay = {}) {
    TeamBarrier barrier;
    std::vector<std::atomic<int>> counts(static_cast<std::size_t>(n_threads));
    std::atomic<int> wrong{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < n_threads; ++t) {
        threads.emplace_back([&, t] {
            for (int round = 1; round <= rounds; ++round) {
                if (t == round % n_threads && delay.count() > 0) std::this_thread::sleep_for(delay);
                counts[static_cast<std::size_t>(t)] = round;
                barrier.wait(static_cast<std::uint32_t>(n_threads));
                for (const auto& count : counts) wrong += count < round ? 1 : 0;
                barrier.wait(static_cast<std::uint32_t>(n_threads));
            }
        });
    }
    threads.clear();
    EXPECT_EQ(wrong, 0);
}

TEST(TeamBarrier, NobodyPassesBeforeAllHaveCome) {
    count_together(2, 20000);
    count_together(3, 500);
}

TEST(TeamBarrier, WhoWaitsLongSleepsAndIsWoken) {
    count_together(2, 200, std::chrono::microseconds(400));
    count_together(4, 50, std::chrono::microseconds(400));
}

TEST(TeamBarrier, MoreThreadsThanProcessors) {
    count_together(static_cast<int>(std::thread::hardware_concurrency()) * 4, 30);
}

TEST(TeamBarrier, OneThreadAloneGoesOn) {
    TeamBarrier barrier;
    for (int i = 0; i < 3; ++i) barrier.wait(1);
}

TEST(TeamBarrier, SleepersCostNoProcessorTime) {
    TeamBarrier barrier;
    std::clock_t used = 0;
    std::jthread late([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        barrier.wait(2);
    });
    timespec before{};
    timespec after{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    barrier.wait(2);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    used = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
    EXPECT_LT(used, 100) << "milliseconds";
}

TEST(TeamBarrier, StandsInForTheBarrierOfParallelRegions) {
    // Two teams at once, each with its own number of threads, and a region within a region.
    const auto region = [](int n_threads) {
        std::vector<int> seen(static_cast<std::size_t>(n_threads));
        int sum = 0;
#pragma omp parallel num_threads(n_threads) shared(seen, sum)
        {
            for (int round = 1; round <= 200; ++round) {
                seen[static_cast<std::size_t>(omp_get_thread_num())] = round;
#pragma omp barrier
                if (omp_get_thread_num() == 0) {
                    sum += static_cast<int>(std::ranges::count(seen, round)) - omp_get_num_threads();
                }
#pragma omp barrier
            }
        }
        return sum;
    };
    int other = -1;
    {
        std::jthread thread([&] { other = region(3); });
        EXPECT_EQ(region(2), 0);
    }
    EXPECT_EQ(other, 0);
}

}  // namespace
}  // namespace sutazai::kernels
