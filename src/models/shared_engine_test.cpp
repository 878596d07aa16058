#include <gtest/gtest.h>

#include <fstream>

#include "models/testing/manager_fixture.h"

namespace sutazai::models {
namespace {

using namespace testing_support;

class SharedEngineTest : public ManagerFixture {
  protected:
    /// With another size each time, so that the change shows whatever the clock says.
    void configure(const std::string& text) {
        std::ofstream(folder_ / "models.toml") << text << "\n#" << std::string(++n_written_, 'x') << "\n";
        if (catalog_ != nullptr) catalog_->refresh();
    }

    std::size_t n_written_ = 0;
};

TEST_F(SharedEngineTest, NamesOfOneFileHaveOneEngine) {
    configure("[models.x]\nfrom = \"a\"\ntemperature = 1\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease a = co_await lease(manager, "a");
        const Lease x = co_await lease(manager, "x:latest");
        EXPECT_EQ(a.model(), "a");
        EXPECT_EQ(x.model(), "x");
        EXPECT_EQ(&a.engine(), &x.engine());
        EXPECT_FALSE(a.profile().request.temperature);
        EXPECT_EQ(x.profile().request.temperature, 1.0F);
        EXPECT_EQ(n_loads("a"), 1);
        EXPECT_EQ(status(manager, "a").requests, 2U);
        EXPECT_EQ(status(manager, "a").alias_of, "");
        EXPECT_EQ(status(manager, "x").alias_of, "a");
        EXPECT_EQ(state(manager, "x"), ModelState::kWarm);
        EXPECT_EQ(summarize(manager.status()).warmed_models, 1U);
    });
}

TEST_F(SharedEngineTest, WhatIsLoadedInAnotherWayIsAnotherOne) {
    configure("[models.x]\nfrom = \"a\"\ncontext = 512\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease a = co_await lease(manager, "a");
        const Lease x = co_await lease(manager, "x");
        EXPECT_NE(&a.engine(), &x.engine());
        EXPECT_EQ(n_loads("a"), 2);
        EXPECT_EQ(status(manager, "x").alias_of, "");
    });
}

TEST_F(SharedEngineTest, WhatANameStoodForGoesWithItsLastRequest) {
    configure("[models.x]\nfrom = \"a\"\ncontext = 512\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        auto old = std::make_unique<Lease>(co_await lease(manager, "x"));
        EXPECT_TRUE(co_await manager.pin("x", true));
        configure("[models.x]\nfrom = \"a\"\ncontext = 1024\n");
        const Lease now = co_await lease(manager, "x");
        EXPECT_NE(&old->engine(), &now.engine());
        EXPECT_TRUE(old->engine().alive()) << "its request goes on";
        EXPECT_TRUE(status(manager, "x").pinned) << "the pin is the name's";
        old.reset();
        co_await until([] { return n_children() == 1; });
        EXPECT_TRUE(now.engine().alive());
        configure("");
        EXPECT_TRUE(co_await manager.acquire("x")) << "better what is there than nothing";
    });
}

TEST_F(SharedEngineTest, ANameThatGoesLeavesTheOthersTheirEngine) {
    configure("[models.x]\nfrom = \"a\"\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        { const Lease x = co_await lease(manager, "x"); }
        configure("[models.x]\nfrom = \"b\"\n");
        const Lease x = co_await lease(manager, "x");
        const Lease a = co_await lease(manager, "a");
        EXPECT_EQ(n_loads("a"), 1);
        EXPECT_EQ(n_loads("b"), 1);
        EXPECT_EQ(status(manager, "a").alias_of, "");
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
    });
}

TEST_F(SharedEngineTest, TheConfigurationPinsAndUnpins) {
    configure("[models.a]\npinned = true\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(manager.startup_models(), (std::vector<std::string>{"a"}));
        EXPECT_TRUE(status(manager, "a").pinned);
        { const Lease a = co_await lease(manager, "a"); }
        EXPECT_FALSE(co_await manager.pin("a", false));
        EXPECT_FALSE(co_await manager.evict("a", true));
        configure("");
        EXPECT_TRUE(co_await manager.evict("a", true));
    });
}

TEST_F(SharedEngineTest, AModelHasAKeepAliveOfItsOwn) {
    configure("[models.a]\nkeep_alive = \"20ms\"\n");
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        {
            const Lease a = co_await lease(manager, "a");
            const Lease b = co_await lease(manager, "b");
        }
        co_await until([&] { return state(manager, "a") == ModelState::kCold; });
        EXPECT_EQ(state(manager, "b"), ModelState::kWarm);
        {
            const auto a = co_await manager.acquire("a", KeepAlive(60s));
            EXPECT_TRUE(a);
        }
        co_await sleep_for(100ms);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm) << "the request goes first";
    });
}

}  // namespace
}  // namespace sutazai::models
