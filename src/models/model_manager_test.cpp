#include "models/model_manager.h"

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <optional>
#include <vector>

#include "models/testing/manager_fixture.h"

namespace sutazai::models {
namespace {

using namespace testing_support;  // NOLINT(google-build-using-namespace)

class ModelManagerTest : public ManagerFixture {};

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

        got = co_await manager.acquire(name);
        EXPECT_EQ(got.error().message, "'twice.fail_load_2' could not be loaded: the file has no tensors");
        EXPECT_EQ(n_loads(name), 1) << "refused at once";

        co_await sleep_for(210ms);
        EXPECT_FALSE(co_await manager.acquire(name));
        EXPECT_EQ(n_loads(name), 2);
        EXPECT_FALSE(co_await manager.acquire(name));
        EXPECT_EQ(n_loads(name), 2);
        co_await sleep_for(410ms);
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
        co_await sleep_for(210ms);
        EXPECT_TRUE(co_await manager.acquire("a"));
    });
}

TEST_F(ModelManagerTest, AnEngineThatHangsIsEndedAndTheNextRequestIsServed) {
    tuning_.stall_timeout = 200ms;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        Lease old = co_await lease(manager, "a");
        ipc::TokenStream stream = old.engine().submit(request("hang 2"));
        GenerationUpdate update;
        while (!update.last()) update = co_await stream.next();
        EXPECT_EQ(update.error->code, ErrorCode::kEngineDied);
        const std::string why = "the engine for 'a' hung and was ended: for 0.2 s it answered nothing";
        EXPECT_EQ(update.error->message, why);
        EXPECT_EQ(status(manager, "a").last_error, why);

        const Lease next = co_await lease(manager, "a");
        EXPECT_TRUE(next.engine().alive());
        EXPECT_EQ(status(manager, "a").last_error, "");
        EXPECT_EQ(status(manager, "a").crashes, 1U);
        EXPECT_EQ(status(manager, "a").last_crash, why);
    });
}

TEST_F(ModelManagerTest, ResultsThatAreNoNumbersShowUntilTheModelIsLoadedAnew) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        {
            Lease a = co_await lease(manager, "a");
            for (const char* command : {"rot 2", "count 2"}) {
                ipc::TokenStream stream = a.engine().submit(request(command));
                GenerationUpdate update;
                while (!update.last()) update = co_await stream.next();
                EXPECT_TRUE(status(manager, "a").last_error.starts_with("1 of its results were no numbers"));
                EXPECT_EQ(state(manager, "a"), ModelState::kWarm) << "other inputs may do";
            }
        }
        (void)co_await manager.evict("a", true);
        (void)co_await lease(manager, "a");
        EXPECT_EQ(status(manager, "a").last_error, "");
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
    tuning_.load_timeout = 1000ms;  // of a load as well, on a busy machine
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
        EXPECT_EQ(state(manager, "b"), ModelState::kDraining) << "it is warm, and a waits for its place in turn";
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
    catalog::Catalog catalog({}, folder_.string(), {});
    BlockingPool pool;
    auto manager = std::make_unique<AdvancedModelManager>(settings_, catalog, pool, SUTAZAI_FAKE_ENGINE, tuning_);
    std::optional<Result<Lease>> warm;
    std::optional<Result<Lease>> loading;
    acquire_later(*manager, "a", warm);
    acquire_later(*manager, "hang.hang_load", loading);
    const auto deadline = Clock::now() + 10s;
    while ((!warm || n_children() < 2) && Clock::now() < deadline) io_.run_one_for(10ms);
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

}  // namespace
}  // namespace sutazai::models
