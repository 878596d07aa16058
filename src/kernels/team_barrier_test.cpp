#include "kernels/team_barrier.h"

#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "kernels/level_backend.h"
#include "kernels/own_kernels.h"

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

/// 200 sums one after the other, each of which needs the one before: the threads meet after each.
std::uint64_t meetings_of_a_graph(const CpuLevel& level, int threads) {
    ggml_init_params params{};
    params.mem_size = 16U << 20;
    const ggml_context_ptr context(ggml_init(params));
    constexpr std::int64_t kRows = 64;
    ggml_tensor* one = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, 16, kRows);
    std::fill_n(static_cast<float*>(one->data), ggml_nelements(one), 1.0F);
    ggml_tensor* sum = one;
    for (int i = 0; i < 200; ++i) sum = ggml_add(context.get(), sum, one);
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, sum);
    LevelBackend backend(level);
    const std::uint64_t before = own_kernels().meetings.done;
    EXPECT_EQ(backend.compute(graph, threads), GGML_STATUS_SUCCESS);
    for (std::int64_t i = 0; i < ggml_nelements(sum); ++i) EXPECT_EQ(static_cast<const float*>(sum->data)[i], 201.0F);
    return own_kernels().meetings.done - before;
}

TEST(TeamBarrier, GgmlsThreadsMeetAtItAtEveryLevel) {
    for (const CpuLevel& level : cpu_levels()) {
        SCOPED_TRACE(level.name);
        EXPECT_GE(meetings_of_a_graph(level, 2), 199);
        EXPECT_GE(meetings_of_a_graph(level, 3), 199);
        EXPECT_EQ(meetings_of_a_graph(level, 1), 0);
    }
}

TEST(TeamBarrier, TwoTeamsAtOnceDoNotMeetEachOther) {
    std::jthread other([] { meetings_of_a_graph(cpu_levels().front(), 3); });
    meetings_of_a_graph(cpu_levels().back(), 2);
}

}  // namespace
}  // namespace sutazai::kernels
