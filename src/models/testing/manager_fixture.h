#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "catalog/testing/small_gguf.h"
#include "models/model_manager.h"

/// What the tests of the manager share: a folder of models, an I/O context, a fake engine. For tests only.
namespace sutazai::models::testing_support {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

using catalog::small_gguf;

inline asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

inline GenerationRequest request(std::string command) {
    GenerationRequest out;
    out.prompt = std::move(command);
    return out;
}

inline std::size_t n_children() {
    std::size_t n = 0;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
        std::ifstream children(task.path() / "children");
        for (int pid = 0; children >> pid;) ++n;
    }
    return n;
}

/// A folder of models whose names say how the fake engine behaves, and a manager over it.
class ManagerFixture : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "sutazai-models-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        for (const char* name :
             {"a", "b", "c", "slow.slow_load", "bad.fail_load", "twice.fail_load_2", "hang.hang_load",
              "deaf.ignore_drain", "dies.die_in_load", "hog.hog_64", "warming.slow_warm_up"}) {
            std::ofstream(folder_ / (std::string(name) + ".gguf"), std::ios::binary) << small_gguf();
        }
        std::ofstream(folder_ / "text.gguf") << "this is no model";
        settings_.model_cache_size = 2;
        tuning_.first_backoff = 200ms;
        tuning_.longest_backoff = 400ms;
        tuning_.eviction_deadline = 300ms;
        // What takes time and what happens by itself has tests of its own.
        tuning_.placement.least_collation = tuning_.placement.most_collation = 0ms;
        tuning_.placement.restore_factor = 1e9;
        tuning_.engine_arguments = {"--log", log().string()};
    }

    void TearDown() override {
        EXPECT_EQ(n_children(), 0U);
        fs::remove_all(folder_);
    }

    using Test = std::function<asio::awaitable<void>(AdvancedModelManager&)>;

    /// Runs `test`, then drains the manager and waits until everything has ended.
    void run(Test test) {
        catalog::ModelSources sources;
        sources.models_dir = folder_.string();
        sources.models_toml = (folder_ / "models.toml").string();
        catalog::Catalog catalog(std::move(sources));
        catalog_ = &catalog;
        BlockingPool pool;
        AdvancedModelManager manager(settings_, catalog, pool, SUTAZAI_FAKE_ENGINE, tuning_);
        asio::co_spawn(io_, test_and_drain(std::move(test), manager), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
        });
        io_.run_for(60s);
        EXPECT_TRUE(io_.stopped()) << "something never ended";
        catalog_ = nullptr;
    }
    static asio::awaitable<void> test_and_drain(Test test, AdvancedModelManager& manager) {
        co_await test(manager);
        co_await manager.drain(1s);
    }

    fs::path log() const { return folder_ / "loads"; }
    int n_loads(const std::string& name) const {
        std::ifstream in(log());
        int n = 0;
        for (std::string line; std::getline(in, line);)
            n += line.find("/" + name + ".gguf ") != std::string::npos ? 1 : 0;
        return n;
    }

    static ModelStatus status(const AdvancedModelManager& manager, const std::string& name) {
        for (auto& entry : manager.status()) {
            if (entry.name == name) return entry;
        }
        ADD_FAILURE() << "no status of " << name;
        return {};
    }
    static ModelState state(const AdvancedModelManager& manager, const std::string& name) {
        return status(manager, name).state;
    }

    /// A lease that the test cannot do without.
    static asio::awaitable<Lease> lease(AdvancedModelManager& manager, std::string name) {
        auto got = co_await manager.acquire(std::move(name));
        if (!got) throw std::runtime_error(got.error().message);
        co_return std::move(*got);
    }

    /// Acquires in the background; `got` is set when that ends.
    void acquire_later(AdvancedModelManager& manager, const std::string& name, std::optional<Result<Lease>>& got) {
        asio::co_spawn(io_, manager.acquire(name), [&got](std::exception_ptr e, Result<Lease> result) {
            if (!e) got.emplace(std::move(result));
        });
    }

    template <typename Condition>
    static asio::awaitable<void> until(Condition condition) {
        const auto deadline = Clock::now() + 10s;
        while (!condition()) {
            if (Clock::now() > deadline) throw std::runtime_error("waited in vain");
            co_await sleep_for(1ms);
        }
    }

    asio::io_context io_;
    fs::path folder_;
    config::Settings settings_;
    Tuning tuning_;
    catalog::Catalog* catalog_ = nullptr;  // of the running test
};

}  // namespace sutazai::models::testing_support
