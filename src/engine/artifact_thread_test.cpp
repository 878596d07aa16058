#include "engine/artifact_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <vector>

namespace sutazai::engine {
namespace {

using namespace std::chrono_literals;

constexpr auto kNothing = [] {};

TEST(ArtifactThread, DoesJobsInTurnBehindTheBeginning) {
    std::vector<int> done;
    std::promise<void> go;
    ArtifactThread thread(
        {.first = [&] { go.get_future().wait(), done.push_back(0); }, .regular = kNothing, .interval = 1h});
    for (int i = 1; i <= 3; ++i) thread.post([&done, i] { done.push_back(i); });
    EXPECT_FALSE(thread.wait_until_idle(1ms));
    go.set_value();
    EXPECT_TRUE(thread.wait_until_idle(10s));
    EXPECT_EQ(done, (std::vector{0, 1, 2, 3}));
}

TEST(ArtifactThread, GoesOnAfterWhatThrows) {
    std::atomic<int> n_regular = 0;
    const auto fails = [] { throw std::runtime_error("it failed"); };
    ArtifactThread thread({.first = fails,
                           .regular =
                               [&] {
                                   ++n_regular;
                                   throw std::runtime_error("this too");
                               },
                           .interval = 1ms});
    thread.post(fails);
    bool done = false;
    thread.post([&] { done = true; });
    EXPECT_TRUE(thread.wait_until_idle(10s));
    EXPECT_TRUE(done);
    while (n_regular < 3) std::this_thread::sleep_for(1ms);
}

TEST(ArtifactThread, ItsEndFinishesTheJobAndDropsTheOthers) {
    std::atomic<int> n_done = 0;
    std::promise<void> began;
    {
        ArtifactThread thread({.first = kNothing, .regular = kNothing, .interval = 1h});
        thread.post([&] {
            began.set_value();
            while (!thread.stopping()) std::this_thread::sleep_for(1ms);
            ++n_done;
        });
        thread.post([&] { ++n_done; });
        began.get_future().wait();
    }
    EXPECT_EQ(n_done, 1);
}

TEST(ArtifactThread, ShowsWhetherItIsAtAJob) {
    ArtifactThread thread({.first = kNothing, .regular = kNothing, .interval = 1h});
    std::promise<void> go;
    std::promise<void> began;
    thread.post([&] {
        began.set_value();
        go.get_future().wait();
    });
    began.get_future().wait();
    EXPECT_TRUE(thread.progress().at_work());
    go.set_value();
    EXPECT_TRUE(thread.wait_until_idle(10s));
    EXPECT_FALSE(thread.progress().at_work());
}

}  // namespace
}  // namespace sutazai::engine
