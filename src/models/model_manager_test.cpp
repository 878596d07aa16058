#include "models/model_manager.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>

namespace sutazai::models {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// The smallest file that passes the check of the head: one tensor of four floats.
std::string small_gguf() {
    std::string out;
    const auto put = [&](std::uint64_t value, int n_bytes) {
        for (int i = 0; i < n_bytes; ++i) out += static_cast<char>(value >> 8 * i);
    };
    const auto text = [&](const std::string& value) {
        put(value.size(), 8);
        out += value;
    };
    out += "GGUF";
    put(3, 4);
    put(1, 8);
    put(1, 8);
    text("general.architecture");
    put(8, 4);
    text("llama");
    text("w");
    put(1, 4);
    put(4, 8);
    put(0, 4);
    put(0, 8);
    out.resize((out.size() + 31) / 32 * 32 + 16);
    return out;
}

asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

GenerationRequest request(std::string command) {
    GenerationRequest out;
    out.prompt = std::move(command);
    return out;
}

std::size_t n_children() {
    std::size_t n = 0;
    for (const auto& task : fs::directory_iterator("/proc/self/task")) {
        std::ifstream children(task.path() / "children");
        for (int pid = 0; children >> pid;) ++n;
    }
    return n;
}

/// A folder of models whose names say how the fake engine behaves, and a manager over it.
class ModelManagerTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "sutazai-models-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        for (const char* name : {"a", "b", "c", "slow.slow_load", "bad.fail_load", "twice.fail_load_2",
                                 "hang.hang_load", "deaf.ignore_drain", "dies.die_in_load"}) {
            std::ofstream(folder_ / (std::string(name) + ".gguf"), std::ios::binary) << small_gguf();
        }
        std::ofstream(folder_ / "text.gguf") << "this is no model";
        settings_.model_cache_size = 2;
        tuning_.first_backoff = 100ms;
        tuning_.longest_backoff = 200ms;
        tuning_.eviction_deadline = 300ms;
        tuning_.engine_arguments = {"--log", log().string()};
    }

    void TearDown() override {
        EXPECT_EQ(n_children(), 0U);
        fs::remove_all(folder_);
    }

    using Test = std::function<asio::awaitable<void>(AdvancedModelManager&)>;

    /// Runs `test`, then drains the manager and waits until everything has ended.
    void run(Test test) {
        const catalog::Catalog catalog({}, folder_.string(), {});
        AdvancedModelManager manager(settings_, catalog, SUTAZAI_FAKE_ENGINE, tuning_);
        asio::co_spawn(io_, test_and_drain(std::move(test), manager), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
        });
        io_.run_for(60s);
        EXPECT_TRUE(io_.stopped()) << "something never ended";
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
};

// --- loading

TEST_F(ModelManagerTest, LoadsOnDemandAndStaysWarm) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        EXPECT_FALSE(manager.any_warm());
        for (int i = 0; i < 3; ++i) {
            const Lease held = co_await lease(manager, "a");
            EXPECT_EQ(held.model(), "a");
            ipc::TokenStream stream = held.engine().submit(request("count 1"));
            EXPECT_EQ(manager.open_requests(), 1U);
            EXPECT_FALSE((co_await stream.next()).error);
        }
        EXPECT_EQ(n_loads("a"), 1);
        const ModelStatus now = status(manager, "a");
        EXPECT_EQ(now.state, ModelState::kWarm);
        EXPECT_EQ(now.requests, 3U);
        EXPECT_EQ(now.found_warm, 2U);
        EXPECT_GT(now.pid, 0);
        EXPECT_EQ(now.info.description, "fake");
        EXPECT_TRUE(manager.any_warm());
    });
}

TEST_F(ModelManagerTest, SettingsReachTheEngine) {
    settings_.context_tokens = 1234;
    settings_.batch_size = 7;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease held = co_await lease(manager, "a");
        EXPECT_EQ(held.engine().info().context_tokens, 1234U);
        EXPECT_EQ(held.engine().info().context_per_sequence, 7U);
    });
}

TEST_F(ModelManagerTest, WarmLoadsWithoutALeaseAndWithoutCounting) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_TRUE(co_await manager.warm("a"));
        EXPECT_EQ(status(manager, "a").requests, 0U);
        const Lease held = co_await lease(manager, "a");
        EXPECT_EQ(status(manager, "a").found_warm, 1U);
        EXPECT_FALSE(co_await manager.warm("bad.fail_load"));
    });
}

TEST_F(ModelManagerTest, ManyWhoAskAtOnceCauseOneLoad) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::vector<std::optional<Result<Lease>>> got(50);
        for (auto& one : got) acquire_later(manager, "slow.slow_load", one);
        co_await until([&] { return status(manager, "slow.slow_load").load_progress > 0; });
        EXPECT_EQ(state(manager, "slow.slow_load"), ModelState::kLoading);
        EXPECT_EQ(status(manager, "slow.slow_load").load_progress, 0.5F);
        co_await until([&] { return std::ranges::all_of(got, [](const auto& one) { return one.has_value(); }); });
        for (const auto& one : got) EXPECT_TRUE(one->has_value());
        EXPECT_EQ(n_loads("slow.slow_load"), 1);
        EXPECT_EQ(status(manager, "slow.slow_load").requests, 50U);
        EXPECT_EQ(status(manager, "slow.slow_load").found_warm, 0U);
    });
}

TEST_F(ModelManagerTest, AWaiterThatGoesAwayLeavesTheLoadToTheOthers) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        asio::cancellation_signal cancel;
        bool aborted = false;
        asio::co_spawn(io_, manager.acquire("slow.slow_load"),
                       asio::bind_cancellation_slot(
                           cancel.slot(), [&](std::exception_ptr e, const Result<Lease>&) { aborted = e != nullptr; }));
        std::optional<Result<Lease>> stays;
        acquire_later(manager, "slow.slow_load", stays);
        co_await until([&] { return state(manager, "slow.slow_load") == ModelState::kLoading; });
        cancel.emit(asio::cancellation_type::terminal);
        co_await until([&] { return aborted; });
        EXPECT_FALSE(stays);
        co_await until([&] { return stays.has_value(); });
        EXPECT_TRUE(*stays);
        EXPECT_EQ(n_loads("slow.slow_load"), 1);
    });
}

TEST_F(ModelManagerTest, ErrorsOfNamesAndFilesHarmNothingElse) {
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int pid = (co_await lease(manager, "a")).engine().pid();
        EXPECT_EQ((co_await manager.acquire("nobody")).error().code, ErrorCode::kNotFound);
        const Error no_gguf = (co_await manager.acquire("text")).error();
        EXPECT_EQ(no_gguf.code, ErrorCode::kLoadFailed);
        EXPECT_TRUE(no_gguf.message.starts_with("'text' could not be loaded: ")) << no_gguf.message;
        EXPECT_EQ(n_loads("text"), 0) << "such a file never reaches an engine";
        EXPECT_EQ(state(manager, "text"), ModelState::kFailed);
        EXPECT_EQ(status(manager, "text").last_error, no_gguf.message);
        EXPECT_EQ((co_await lease(manager, "a")).engine().pid(), pid) << "nor does it cost another model its place";

        EXPECT_TRUE(co_await manager.warm("b"));
        fs::remove(folder_ / "a.gguf");
        EXPECT_EQ((co_await manager.acquire("a")).error().code, ErrorCode::kNotFound);
    });
}

// --- failure

TEST_F(ModelManagerTest, AFailedLoadIsExplainedAndBacksOff) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const std::string name = "twice.fail_load_2";
        Result<Lease> got = co_await manager.acquire(name);
        EXPECT_EQ(got.error().code, ErrorCode::kLoadFailed);
        EXPECT_EQ(got.error().message, "'twice.fail_load_2' could not be loaded: the file has no tensors");
        EXPECT_EQ(got.error().retry_after_s, 1);
        EXPECT_EQ(state(manager, name), ModelState::kFailed);

        const auto begin = Clock::now();
        got = co_await manager.acquire(name);
        EXPECT_LT(Clock::now() - begin, 50ms);
        EXPECT_EQ(got.error().message, "'twice.fail_load_2' could not be loaded: the file has no tensors");
        EXPECT_EQ(n_loads(name), 1) << "refused at once";

        co_await sleep_for(110ms);
        EXPECT_FALSE(co_await manager.acquire(name));
        EXPECT_EQ(n_loads(name), 2);
        co_await sleep_for(110ms);
        EXPECT_FALSE(co_await manager.acquire(name));
        EXPECT_EQ(n_loads(name), 2) << "the second time is twice as long";
        co_await sleep_for(100ms);
        EXPECT_TRUE(co_await manager.acquire(name));
        EXPECT_EQ(n_loads(name), 3);
        EXPECT_EQ(status(manager, name).last_error, "");
    });
}

TEST_F(ModelManagerTest, EveryWaiterLearnsOfTheFailure) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::vector<std::optional<Result<Lease>>> got(10);
        for (auto& one : got) acquire_later(manager, "dies.die_in_load", one);
        co_await until([&] { return std::ranges::all_of(got, [](const auto& one) { return one.has_value(); }); });
        for (const auto& one : got) {
            EXPECT_EQ(one->error().message,
                      "'dies.die_in_load' could not be loaded: the engine for 'dies.die_in_load' "
                      "ended with exit code 3");
        }
        EXPECT_EQ(n_loads("dies.die_in_load"), 1);
    });
}

TEST_F(ModelManagerTest, AHangingLoadEndsAndGivesItsPlaceBack) {
    settings_.model_cache_size = 1;
    tuning_.load_timeout = 200ms;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ((co_await manager.acquire("hang.hang_load")).error().code, ErrorCode::kLoadFailed);
        EXPECT_EQ(n_children(), 0U);
        EXPECT_TRUE(co_await manager.acquire("a"));
    });
}

TEST_F(ModelManagerTest, TheRequestAfterACrashWorksAndRepeatedCrashesBackOff) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        Lease old = co_await lease(manager, "a");
        ipc::TokenStream stream = old.engine().submit(request("pace 100000"));
        ::kill(old.engine().pid(), SIGKILL);
        GenerationUpdate update;
        while (!update.last()) update = co_await stream.next();
        EXPECT_EQ(update.error->code, ErrorCode::kEngineDied);
        EXPECT_EQ(state(manager, "a"), ModelState::kFailed);
        EXPECT_EQ(status(manager, "a").last_error, "the engine for 'a' was killed by signal 9 (Killed)");

        const Lease next = co_await lease(manager, "a");
        EXPECT_TRUE(next.engine().alive());
        EXPECT_FALSE(old.engine().alive()) << "a lease stays with its engine";
        EXPECT_EQ(n_loads("a"), 2);

        ::kill(next.engine().pid(), SIGKILL);
        co_await until([&] { return state(manager, "a") == ModelState::kFailed; });
        const Error refused = (co_await manager.acquire("a")).error();
        EXPECT_EQ(refused.code, ErrorCode::kUnavailable);
        EXPECT_EQ(refused.message, "the engine for 'a' was killed by signal 9 (Killed)");
        EXPECT_EQ(refused.retry_after_s, 1);
        co_await sleep_for(110ms);
        EXPECT_TRUE(co_await manager.acquire("a"));
    });
}

// --- places

TEST_F(ModelManagerTest, TheLeastRecentlyUsedIdleModelMakesRoom) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (const char* name : {"a", "b", "a", "c"}) (void)co_await lease(manager, name);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
        EXPECT_EQ(state(manager, "c"), ModelState::kWarm);
        EXPECT_EQ(n_children(), 2U);
    });
}

TEST_F(ModelManagerTest, WithoutAdvancedCachingOneModelIsWarm) {
    settings_.advanced_caching_enabled = false;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        (void)co_await lease(manager, "a");
        (void)co_await lease(manager, "b");
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        EXPECT_EQ(n_children(), 1U);
    });
}

TEST_F(ModelManagerTest, AnEngineThatDoesNotLeaveIsKilled) {
    settings_.model_cache_size = 1;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        (void)co_await lease(manager, "deaf.ignore_drain");
        const auto begin = Clock::now();
        (void)co_await lease(manager, "a");
        EXPECT_GE(Clock::now() - begin, 300ms);
        EXPECT_EQ(n_children(), 1U);
    });
}

TEST_F(ModelManagerTest, LeasesBlockEvictionEvenOfTheLeastRecentlyUsed) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease a = co_await lease(manager, "a");
        (void)co_await lease(manager, "b");
        (void)co_await lease(manager, "c");
        EXPECT_TRUE(a.engine().alive());
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
    });
}

TEST_F(ModelManagerTest, WhenAllAreBusyANewModelWaitsForALease) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> a = co_await lease(manager, "a");
        const Lease b = co_await lease(manager, "b");
        std::optional<Result<Lease>> c;
        acquire_later(manager, "c", c);
        co_await sleep_for(50ms);
        EXPECT_FALSE(c);
        a.reset();
        co_await until([&] { return c.has_value(); });
        EXPECT_TRUE(*c);
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        EXPECT_TRUE(b.engine().alive());
    });
}

TEST_F(ModelManagerTest, WaitingForAPlaceEnds) {
    settings_.model_cache_size = 1;
    tuning_.load_timeout = 200ms;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease a = co_await lease(manager, "a");
        const Error error = (co_await manager.acquire("b")).error();
        EXPECT_EQ(error.code, ErrorCode::kUnavailable);
        EXPECT_EQ(error.message, "every model that is loaded is busy; 'b' found no place");
        EXPECT_GT(error.retry_after_s, 0);
        EXPECT_TRUE(co_await manager.acquire("a")) << "nobody waits for its place any more";
    });
}

TEST_F(ModelManagerTest, RequestsForTheLeavingModelQueueBehindTheWaitingOne) {
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> first = co_await lease(manager, "a");
        std::optional<Result<Lease>> b;
        std::optional<Result<Lease>> again;
        acquire_later(manager, "b", b);
        co_await sleep_for(20ms);
        acquire_later(manager, "a", again);
        co_await sleep_for(50ms);
        EXPECT_FALSE(b);
        EXPECT_FALSE(again) << "or a steady stream of requests would keep the other model out";
        first.reset();
        co_await until([&] { return b.has_value(); });
        EXPECT_TRUE(*b);
        co_await sleep_for(50ms);
        EXPECT_FALSE(again);
        EXPECT_EQ(state(manager, "b"), ModelState::kWarm);
        b.reset();
        co_await until([&] { return again.has_value(); });
        EXPECT_TRUE(*again);
        EXPECT_EQ(n_loads("a"), 2);
    });
}

TEST_F(ModelManagerTest, ALeavingModelStaysWhenNobodyWaitsAnyMore) {
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease first = co_await lease(manager, "a");
        asio::cancellation_signal cancel;
        asio::co_spawn(io_, manager.acquire("b"), asio::bind_cancellation_slot(cancel.slot(), asio::detached));
        co_await sleep_for(20ms);
        std::optional<Result<Lease>> again;
        acquire_later(manager, "a", again);
        co_await sleep_for(20ms);
        EXPECT_FALSE(again);
        cancel.emit(asio::cancellation_type::terminal);
        co_await until([&] { return again.has_value(); });
        EXPECT_TRUE(*again);
        EXPECT_EQ(n_loads("a"), 1);
        EXPECT_EQ(n_loads("b"), 0);
    });
}

TEST_F(ModelManagerTest, ModelsGetPlacesInTheOrderOfAsking) {
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> first = co_await lease(manager, "a");
        std::optional<Result<Lease>> c;
        std::optional<Result<Lease>> b;
        acquire_later(manager, "c", c);
        co_await sleep_for(20ms);
        acquire_later(manager, "b", b);
        co_await sleep_for(20ms);
        first.reset();
        co_await until([&] { return c.has_value(); });
        EXPECT_FALSE(b);
        c.reset();
        co_await until([&] { return b.has_value(); });
    });
}

// --- drain

TEST_F(ModelManagerTest, DrainLetsRequestsFinishAndRefusesNewOnes) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = co_await lease(manager, "a");
        ipc::TokenStream stream = held->engine().submit(request("pace 100"));
        std::optional<Result<Lease>> waiting;
        acquire_later(manager, "hang.hang_load", waiting);
        co_await until([&] { return state(manager, "hang.hang_load") == ModelState::kLoading; });

        bool drained = false;
        asio::co_spawn(io_, manager.drain(10s), [&](std::exception_ptr) { drained = true; });
        co_await until([&] { return waiting.has_value(); });
        EXPECT_EQ(waiting->error().code, ErrorCode::kUnavailable);
        EXPECT_EQ((co_await manager.acquire("a")).error().code, ErrorCode::kUnavailable);
        EXPECT_EQ((co_await manager.acquire("b")).error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(state(manager, "a"), ModelState::kDraining);
        EXPECT_EQ(manager.open_requests(), 1U);
        GenerationUpdate update;
        while (!update.last()) update = co_await stream.next();
        EXPECT_TRUE(update.finished);
        co_await sleep_for(20ms);
        EXPECT_FALSE(drained) << "the lease may yet submit";
        held.reset();
        co_await until([&] { return drained; });
        EXPECT_FALSE(manager.any_warm());
    });
}

TEST_F(ModelManagerTest, DrainCutsWhatIsLateAtTheDeadline) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease held = co_await lease(manager, "a");
        const Lease deaf = co_await lease(manager, "deaf.ignore_drain");
        ipc::TokenStream stream = held.engine().submit(request("hang 1"));
        const auto begin = Clock::now();
        co_await manager.drain(200ms);
        EXPECT_GE(Clock::now() - begin, 200ms);
        EXPECT_LT(Clock::now() - begin, 1s);
        EXPECT_EQ(n_children(), 0U);
        GenerationUpdate update;
        while (!update.last()) update = co_await stream.next();
        EXPECT_EQ(update.error->code, ErrorCode::kEngineDied);
    });
}

TEST_F(ModelManagerTest, DestructionEndsEverything) {
    const catalog::Catalog catalog({}, folder_.string(), {});
    auto manager = std::make_unique<AdvancedModelManager>(settings_, catalog, SUTAZAI_FAKE_ENGINE, tuning_);
    std::optional<Result<Lease>> warm;
    std::optional<Result<Lease>> loading;
    acquire_later(*manager, "a", warm);
    acquire_later(*manager, "hang.hang_load", loading);
    io_.run_for(200ms);
    ASSERT_TRUE(warm && *warm);
    EXPECT_EQ(n_children(), 2U);
    manager.reset();
    EXPECT_TRUE((*warm)->engine().alive()) << "a lease outlives the manager";
    warm.reset();
    io_.restart();
    io_.run_for(10s);
    EXPECT_TRUE(io_.stopped());
    EXPECT_EQ(loading->error().code, ErrorCode::kUnavailable);
}

// --- everything at once

struct Crowd {
    int open = 0;
    int leases = 0;
    int refusals = 0;
    int cancelled = 0;
};

/// One requester: asks, holds, sometimes breaks the engine.
asio::awaitable<void> visit(AdvancedModelManager& manager, Crowd& crowd, std::string name, unsigned random) {
    const Result<Lease> got = co_await manager.acquire(name);
    if (!got) {
        ++crowd.refusals;
        EXPECT_NE(got.error().message, "");
        co_return;
    }
    ++crowd.leases;
    EXPECT_TRUE(got->engine().alive());
    EXPECT_EQ(got->model(), name);
    const char* command = random % 50 == 0 ? "die 1" : random % 3 == 0 ? "pace 5" : "count 3";
    ipc::TokenStream stream = got->engine().submit(request(command));
    if (random % 7 == 0) co_return;
    for (GenerationUpdate update; !update.last();) update = co_await stream.next();
}

TEST_F(ModelManagerTest, RandomVisitsKeepTheInvariants) {
    tuning_.first_backoff = 1ms;
    tuning_.longest_backoff = 4ms;
    tuning_.load_timeout = 2s;
    for (unsigned seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        settings_.model_cache_size = 1 + seed % 3;
        io_.restart();
        run([&, seed](AdvancedModelManager& manager) -> asio::awaitable<void> {
            std::mt19937 random(seed);
            const std::vector<std::string> names{
                "a", "b", "c", "slow.slow_load", "bad.fail_load", "text", "dies.die_in_load"};
            Crowd crowd;
            for (int i = 0; i < 300; ++i) {
                // The slow one seldom, or the test would be slow as well.
                const std::string& name = names[random() % (random() % 20 == 0 ? names.size() : 3)];
                auto cancel = std::make_shared<asio::cancellation_signal>();
                ++crowd.open;
                asio::co_spawn(io_, visit(manager, crowd, name, random()),
                               asio::bind_cancellation_slot(cancel->slot(), [&crowd, cancel](std::exception_ptr e) {
                                   --crowd.open;
                                   crowd.cancelled += e ? 1 : 0;
                               }));
                if (random() % 10 == 0) {
                    co_await sleep_for(std::chrono::milliseconds(random() % 20));
                    cancel->emit(asio::cancellation_type::terminal);
                }
                if (random() % 4 == 0) co_await sleep_for(std::chrono::milliseconds(random() % 4));
                EXPECT_LE(n_children(), settings_.model_cache_size);
                std::size_t warm = 0;
                for (const auto& entry : manager.status()) {
                    const bool has_process = entry.state == ModelState::kWarm || entry.state == ModelState::kLoading;
                    warm += has_process ? 1 : 0;
                    EXPECT_EQ(entry.state == ModelState::kWarm, entry.pid != 0);
                    EXPECT_LE(entry.found_warm, entry.requests);
                }
                EXPECT_LE(warm, settings_.model_cache_size);
            }
            co_await until([&] { return crowd.open == 0; });
            EXPECT_GT(crowd.leases, 100);
            EXPECT_GT(crowd.cancelled, 0);
            EXPECT_GT(crowd.refusals, 0);
            EXPECT_EQ(manager.open_requests(), 0U);
        });
    }
}

}  // namespace
}  // namespace sutazai::models
