// Processes that stand by, kept by a manager over the fake engine.
#include "models/standby_pool.h"

#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <vector>

#include "models/testing/manager_fixture.h"

namespace sutazai::models {
namespace {

using namespace testing_support;  // NOLINT(google-build-using-namespace)

class StandbyTest : public ManagerFixture {
  protected:
    void SetUp() override {
        ManagerFixture::SetUp();
        settings_.standby_engines = 1;
    }

    asio::awaitable<void> begin(AdvancedModelManager& manager) {
        manager.keep_standby(io_.get_executor());
        co_await until([&] { return manager.standby().size() == settings_.standby_engines; });
    }
    static int standby_pid(const AdvancedModelManager& manager) {
        const auto all = manager.standby();
        return all.empty() ? 0 : all.front().pid;
    }
};

TEST_F(StandbyTest, AColdModelTakesItAndItIsReplaced) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(n_children(), 0U) << "not before it is asked for";
        co_await begin(manager);
        const int pid = standby_pid(manager);
        EXPECT_GT(manager.standby().front().bytes, 0U);
        {
            const Lease held = co_await lease(manager, "a");
            EXPECT_EQ(status(manager, "a").pid, pid);
            EXPECT_EQ(n_children(), 1U) << "no other is started while this one is busy";
        }
        co_await until([&] { return manager.standby().size() == 1; });
        EXPECT_EQ(n_children(), 2U);
        EXPECT_NE(standby_pid(manager), pid);
        EXPECT_TRUE(co_await manager.evict("a", false));
        EXPECT_EQ(n_children(), 1U) << "it stays";
    });
}

TEST_F(StandbyTest, ABusyServerGetsOneInTheEnd) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await begin(manager);
        const auto since = Clock::now();
        const Lease held = co_await lease(manager, "a");
        co_await until([&] { return manager.standby().size() == 1; });
        EXPECT_GE(Clock::now() - since, 900ms);
    });
}

TEST_F(StandbyTest, OneThatIsKilledIsReplacedWithABackOff) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await begin(manager);
        std::vector<Clock::duration> took;
        for (int i = 0; i < 3; ++i) {
            const int pid = standby_pid(manager);
            const auto since = Clock::now();
            ::kill(pid, SIGKILL);
            co_await until([&] { return standby_pid(manager) != pid && standby_pid(manager) != 0; });
            took.push_back(Clock::now() - since);
        }
        EXPECT_LT(took[0], 190ms) << "once may be chance";
        EXPECT_GE(took[1], 190ms);
        EXPECT_GE(took[2], 390ms);
        ::kill(standby_pid(manager), SIGKILL);
        const Lease held = co_await lease(manager, "a");
        EXPECT_TRUE(held.engine().alive()) << "a load does without";
    });
}

TEST_F(StandbyTest, NoneIsKeptWhenNoneIsWanted) {
    settings_.standby_engines = 0;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        manager.keep_standby(io_.get_executor());
        { const Lease held = co_await lease(manager, "a"); }
        co_await sleep_for(300ms);
        EXPECT_EQ(n_children(), 1U);
        EXPECT_TRUE(manager.standby().empty());
    });
}

TEST_F(StandbyTest, ThereMustBeMemoryForIt) {
    settings_.model_cache_bytes = 57 << 20;  // what a model is thought to take is 56 MiB
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await begin(manager);
        { const Lease held = co_await lease(manager, "hog.hog_64"); }
        co_await sleep_for(300ms);
        EXPECT_EQ(n_children(), 1U) << "the model has the memory";
        EXPECT_TRUE(co_await manager.evict("hog.hog_64", false));
        co_await until([&] { return manager.standby().size() == 1; });
    });
}

TEST_F(StandbyTest, SeveralServeSeveral) {
    settings_.standby_engines = 2;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await begin(manager);
        std::vector<int> pids;
        for (const StandbyStatus& one : manager.standby()) pids.push_back(one.pid);
        const Lease a = co_await lease(manager, "a");
        const Lease b = co_await lease(manager, "b");
        EXPECT_EQ((std::vector{status(manager, "a").pid, status(manager, "b").pid}), pids);
    });
}

TEST_F(StandbyTest, ALoadDoesNotWaitForAnEndThatItDoesNotNeed) {
    settings_.model_cache_size = 1;
    tuning_.eviction_deadline = 4s;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        { const Lease held = co_await lease(manager, "deaf.ignore_drain"); }
        co_await begin(manager);
        const auto since = Clock::now();
        const Lease held = co_await lease(manager, "a");
        EXPECT_LT(Clock::now() - since, 3s) << "the other takes 4 s to end";
        EXPECT_LE(n_children(), 2U) << "one model and one more";
    });
}

TEST_F(StandbyTest, TheServersEndIsItsEnd) {
    std::optional<Result<Lease>> got;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await begin(manager);
        co_await manager.drain(1s);
        EXPECT_TRUE(manager.standby().empty());
        co_await until([&] { return n_children() == 0; });
    });
}

}  // namespace
}  // namespace sutazai::models
