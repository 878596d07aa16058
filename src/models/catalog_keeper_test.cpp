#include "models/catalog_keeper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

namespace sutazai::models {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class CatalogKeeperTest : public testing::Test {
  protected:
    CatalogKeeperTest() {
        std::string pattern = (fs::temp_directory_path() / "sutazai-keeper-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
        put("first");
        catalog_.emplace(std::map<std::string, std::string>{}, (folder_ / "models").string(),
                         std::map<std::string, std::string>{});
        keeper_ = std::make_shared<CatalogKeeper>(*catalog_, pool_);
    }
    ~CatalogKeeperTest() override { fs::remove_all(folder_); }

    void put(const std::string& name) {
        fs::create_directories(folder_ / "models");
        std::ofstream(folder_ / "models" / (name + ".gguf")) << "x";
    }
    bool has(const std::string& name) const { return catalog_->find(name).has_value(); }

    void run(std::function<asio::awaitable<void>()> test) {
        asio::co_spawn(io_, stop_after(std::move(test)), [](const std::exception_ptr& e) {
            if (e) std::rethrow_exception(e);
        });
        io_.run_for(20s);
        EXPECT_TRUE(io_.stopped()) << "something never ended";
    }
    asio::awaitable<void> stop_after(std::function<asio::awaitable<void>()> test) {
        co_await test();
        keeper_->stop();
    }
    asio::awaitable<bool> becomes_true(std::function<bool()> condition) {
        const auto deadline = Clock::now() + 5s;
        asio::steady_timer timer(io_);
        while (!condition()) {
            if (Clock::now() > deadline) co_return false;
            timer.expires_after(2ms);
            co_await timer.async_wait(asio::use_awaitable);
        }
        co_return true;
    }

    fs::path folder_;
    asio::io_context io_{1};
    BlockingPool pool_;
    std::optional<catalog::Catalog> catalog_;
    std::shared_ptr<CatalogKeeper> keeper_;
};

TEST_F(CatalogKeeperTest, FollowsTheFolderByItself) {
    run([this]() -> asio::awaitable<void> {
        keeper_->watch(io_.get_executor());
        put("second");
        EXPECT_TRUE(co_await becomes_true([&] { return has("second"); }));
        fs::remove(folder_ / "models/first.gguf");
        EXPECT_TRUE(co_await becomes_true([&] { return !has("first"); }));
    });
}

TEST_F(CatalogKeeperTest, CatchesUpAtOnceWithWhatIsNew) {
    run([this]() -> asio::awaitable<void> {
        keeper_->watch(io_.get_executor());
        put("second");
        EXPECT_FALSE(has("second"));
        co_await keeper_->catch_up();
        EXPECT_TRUE(has("second"));
        const auto generation = catalog_->generation();
        const auto before = Clock::now();
        for (int i = 0; i < 1000; ++i) co_await keeper_->catch_up();
        EXPECT_LT(Clock::now() - before, 1s) << "nothing is new: nothing is read";
        EXPECT_EQ(catalog_->generation(), generation);
    });
}

TEST_F(CatalogKeeperTest, AFolderThatComesLaterIsFound) {
    fs::remove_all(folder_ / "models");
    catalog_->refresh();
    run([this]() -> asio::awaitable<void> {
        keeper_->watch(io_.get_executor());
        put("late");
        EXPECT_TRUE(co_await becomes_true([&] { return has("late"); })) << "without news it looks now and then";
    });
}

TEST_F(CatalogKeeperTest, ALookThatEverybodyWaitsForIsShared) {
    run([this]() -> asio::awaitable<void> {
        int done = 0;
        for (int i = 0; i < 100; ++i) {
            asio::co_spawn(io_, keeper_->refresh(), [&](const std::exception_ptr& e) { done += e ? 0 : 1; });
        }
        put("second");
        EXPECT_TRUE(co_await becomes_true([&] { return done == 100; }));
        EXPECT_TRUE(has("second"));
    });
}

TEST_F(CatalogKeeperTest, TheLoopIsNotHeldByAManyFolder) {
    constexpr int kFiles = 2000;
    for (int i = 0; i < kFiles; ++i) put("m" + std::to_string(i));
    run([this]() -> asio::awaitable<void> {
        keeper_->watch(io_.get_executor());
        co_await keeper_->refresh();
        EXPECT_EQ(catalog_->list().size(), kFiles + 1U);
        // Asking costs microseconds whatever there is.
        const auto before = Clock::now();
        std::size_t n = 0;
        for (int i = 0; i < 1000; ++i) {
            co_await keeper_->catch_up();
            n += catalog_->list().size() + (has("m77") ? 1 : 0);
        }
        EXPECT_EQ(n, 1000U * (kFiles + 2));
        EXPECT_LT(Clock::now() - before, 2s) << "a scan for each would take ten times as long";
    });
}

}  // namespace
}  // namespace sutazai::models
