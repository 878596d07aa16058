#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include "models/testing/manager_fixture.h"
#include "models/usage_file.h"

namespace sutazai::models {
namespace {

using namespace testing_support;  // NOLINT(google-build-using-namespace)

/// Memory, pins, keep-alives, orders and what is remembered; places have tests in model_manager_test.cpp.
class WarmSetTest : public ManagerFixture {
  protected:
    /// Asks and lets go at once.
    static asio::awaitable<void> visit(AdvancedModelManager& manager, std::string name,
                                       std::optional<KeepAlive> keep_alive = {}) {
        const auto got = co_await manager.acquire(std::move(name), keep_alive);
        if (!got) throw std::runtime_error(got.error().message);
    }
    static auto is(const AdvancedModelManager& manager, std::string name, ModelState wanted) {
        return [&manager, name = std::move(name), wanted] { return state(manager, name) == wanted; };
    }
};

// --- states

TEST_F(WarmSetTest, TheWarmUpIsAStateOfItsOwn) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Result<Lease>> got;
        acquire_later(manager, "warming.slow_warm_up", got);
        co_await until(is(manager, "warming.slow_warm_up", ModelState::kLoading));
        co_await until(is(manager, "warming.slow_warm_up", ModelState::kWarming));
        EXPECT_EQ(status(manager, "warming.slow_warm_up").waiting, 1U);
        co_await until([&] { return got.has_value(); });
        EXPECT_EQ(state(manager, "warming.slow_warm_up"), ModelState::kWarm);
        EXPECT_EQ(status(manager, "warming.slow_warm_up").in_use, 1U);
        EXPECT_GE(status(manager, "warming.slow_warm_up").load_time, 250ms);
    });
}

// --- memory

#ifndef __SANITIZE_THREAD__  // whose shadow is several times as large as what it shadows: nothing to measure

TEST_F(WarmSetTest, WhatAnEngineTakesIsMeasuredAndCorrectsTheEstimate) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "hog.hog_64");
        const ModelStatus warm = status(manager, "hog.hog_64");
        EXPECT_EQ(warm.estimate.total(), 56 << 20 | 16) << "the mask over 16,384 cells, and a process";
        EXPECT_GT(warm.measured_bytes, 64U << 20);
        EXPECT_LT(warm.measured_bytes, 128U << 20);
        EXPECT_EQ(warm.expected_bytes, warm.measured_bytes);
        co_await visit(manager, "a");
        EXPECT_LT(status(manager, "a").measured_bytes, 32U << 20);
        EXPECT_TRUE(co_await manager.evict("hog.hog_64", false));
        EXPECT_EQ(status(manager, "hog.hog_64").measured_bytes, 0U);
        EXPECT_EQ(status(manager, "hog.hog_64").expected_bytes, warm.expected_bytes) << "the next one is known";
    });
}

TEST_F(WarmSetTest, TheByteBudgetHoldsBesideTheCount) {
    settings_.model_cache_size = 8;
    // Two small engines fit in, or the large one alone. A sanitizer's own memory makes all of them larger.
#ifdef __SANITIZE_ADDRESS__
    settings_.model_cache_bytes = 95 << 20;
#else
    settings_.model_cache_bytes = 75 << 20;
#endif
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "a");
        co_await visit(manager, "b");
        EXPECT_EQ(n_children(), 2U);
        co_await visit(manager, "hog.hog_64");  // larger than it looks: known only once it is there
        co_await until([&] { return n_children() == 1U; });
        EXPECT_EQ(state(manager, "hog.hog_64"), ModelState::kWarm);
        co_await visit(manager, "b");
        co_await visit(manager, "hog.hog_64");
        EXPECT_EQ(n_children(), 1U) << "now it is known before";
    });
}

#endif

TEST_F(WarmSetTest, AModelThatCanNeverFitIsRefusedWithTheNumbers) {
    settings_.model_cache_bytes = 60 << 20;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "hog.hog_64");
        EXPECT_EQ(state(manager, "hog.hog_64"), ModelState::kWarm) << "alone it may stay, however large";
        EXPECT_TRUE(co_await manager.evict("hog.hog_64", false));
        const Error error = (co_await manager.acquire("hog.hog_64")).error();
        EXPECT_EQ(error.code, ErrorCode::kLoadFailed);
        EXPECT_TRUE(error.message.starts_with("'hog.hog_64' could not be loaded: it needs ")) << error.message;
        EXPECT_TRUE(error.message.ends_with("; corrected by what was measured), and MODEL_CACHE_BYTES allows 60 MiB"))
            << error.message;
        EXPECT_EQ(state(manager, "hog.hog_64"), ModelState::kFailed);
        EXPECT_EQ(n_loads("hog.hog_64"), 1) << "no process is started for it";
    });
}

TEST_F(WarmSetTest, TheEstimateAloneRefuses) {
    settings_.model_cache_bytes = 1 << 20;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(
            (co_await manager.acquire("a")).error().message,
            "'a' could not be loaded: it needs 56 MiB (weights 16 B, KV 0 B, compute 32 MiB, process 24 MiB), and "
            "MODEL_CACHE_BYTES allows 1 MiB");
        EXPECT_EQ(n_loads("a"), 0);
    });
}

TEST_F(WarmSetTest, AFileThatIsReplacedIsLookedAtAgain) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "a");
        EXPECT_TRUE(co_await manager.evict("a", false));
        std::ofstream(folder_ / "a.gguf") << "this is no model any more";
        EXPECT_EQ((co_await manager.acquire("a")).error().code, ErrorCode::kLoadFailed);
        std::ofstream(folder_ / "a.gguf", std::ios::binary) << small_gguf();
        co_await sleep_for(210ms);  // the back-off
        co_await visit(manager, "a");
    });
}

// --- pins

TEST_F(WarmSetTest, APinnedModelStays) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (const char* name : {"a", "b", "b", "b"}) co_await visit(manager, name);
        EXPECT_TRUE(co_await manager.pin("a", true));
        EXPECT_TRUE(status(manager, "a").pinned);
        co_await visit(manager, "c");
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
        EXPECT_EQ((co_await manager.evict("a", false)).error().message, "'a' is pinned; unpin it first");

        EXPECT_TRUE(co_await manager.pin("c", true));
        const Error full = (co_await manager.acquire("b")).error();
        EXPECT_EQ(full.code, ErrorCode::kUnavailable);
        EXPECT_TRUE(full.message.find("what is pinned (a, c) leaves 0 of 2 places") != std::string::npos)
            << full.message;
        EXPECT_TRUE(co_await manager.pin("a", false));
        co_await visit(manager, "b");
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        EXPECT_EQ((co_await manager.pin("nobody", true)).error().code, ErrorCode::kNotFound);
    });
}

// --- keep-alive

TEST_F(WarmSetTest, AKeepAliveEndsWhenTheModelHasBeenIdleForSoLong) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = std::move(*(co_await manager.acquire("a", 100ms)));
        co_await sleep_for(150ms);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm) << "it is not idle";
        EXPECT_FALSE(status(manager, "a").unload_at);
        held.reset();
        EXPECT_TRUE(status(manager, "a").unload_at);
        co_await sleep_for(50ms);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        co_await until(is(manager, "a", ModelState::kCold));
        EXPECT_EQ(n_children(), 0U);
    });
}

TEST_F(WarmSetTest, TheLastRequestDecides) {
    settings_.model_keep_alive = 50ms;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "a", 10min);
        co_await visit(manager, "b");
        co_await until(is(manager, "b", ModelState::kCold));
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        co_await visit(manager, "a", 0ms);
        co_await until(is(manager, "a", ModelState::kCold));
        co_await visit(manager, "a", kKeepForEver);
        EXPECT_FALSE(status(manager, "a").unload_at);
        co_await visit(manager, "b", 10min);
        co_await sleep_for(100ms);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        EXPECT_TRUE(co_await manager.pin("b", true));
        co_await visit(manager, "b", 0ms);
        co_await sleep_for(30ms);
        EXPECT_EQ(state(manager, "b"), ModelState::kWarm) << "a pin is stronger";
        EXPECT_TRUE(co_await manager.pin("b", false));
        co_await until(is(manager, "b", ModelState::kCold));
    });
}

TEST_F(WarmSetTest, AWarmUpIsNoUse) {
    settings_.model_keep_alive = 0ms;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_TRUE(co_await manager.warm("a"));
        co_await sleep_for(30ms);
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm) << "it waits for the request it was warmed for";
        co_await visit(manager, "a");
        EXPECT_EQ(status(manager, "a").found_warm, 1U);
        co_await until(is(manager, "a", ModelState::kCold));
    });
}

// --- orders

TEST_F(WarmSetTest, EvictionReturnsWhenTheProcessIsGone) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "a");
        Result<bool> evicted = co_await manager.evict("a", false);
        EXPECT_TRUE(evicted && *evicted);
        EXPECT_EQ(n_children(), 0U);
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        evicted = co_await manager.evict("a", false);
        EXPECT_TRUE(evicted && !*evicted);
        EXPECT_EQ((co_await manager.evict("nobody", false)).error().code, ErrorCode::kNotFound);
    });
}

TEST_F(WarmSetTest, ABusyModelIsEvictedOnlyWhenItsRequestsHaveEnded) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = co_await lease(manager, "a");
        EXPECT_EQ((co_await manager.evict("a", false)).error().message,
                  "'a' is busy with 1 request; with \"force\" it goes when they have ended");
        ipc::TokenStream stream = held->engine().submit(request("pace 100"));
        std::optional<Result<bool>> evicted;
        asio::co_spawn(io_, manager.evict("a", true),
                       [&](const std::exception_ptr&, Result<bool> result) { evicted = std::move(result); });
        co_await until(is(manager, "a", ModelState::kDraining));
        std::optional<Result<Lease>> next;
        acquire_later(manager, "a", next);
        GenerationUpdate update;
        while (!update.last()) update = co_await stream.next();
        EXPECT_TRUE(update.finished) << "the running answer is whole";
        EXPECT_FALSE(evicted);
        held.reset();
        co_await until([&] { return evicted && next; });
        EXPECT_TRUE(*evicted && **evicted);
        EXPECT_TRUE(*next);
        EXPECT_EQ(n_loads("a"), 2) << "who came later got another engine";
    });
}

TEST_F(WarmSetTest, AnOrderThatIsCancelledLetsTheModelStay) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease held = co_await lease(manager, "a");
        asio::cancellation_signal cancel;
        asio::co_spawn(io_, manager.evict("a", true), asio::bind_cancellation_slot(cancel.slot(), asio::detached));
        co_await until(is(manager, "a", ModelState::kDraining));
        cancel.emit(asio::cancellation_type::terminal);
        co_await until(is(manager, "a", ModelState::kWarm));
        EXPECT_TRUE(co_await manager.acquire("a"));
        EXPECT_EQ(n_loads("a"), 1);
    });
}

TEST_F(WarmSetTest, AWarmUpHoldsItsPlaceForAsLongAsItIsHeld) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (const char* name : {"a", "a", "a", "b", "b"}) co_await visit(manager, name);
        std::optional<Lease> c = std::move(*(co_await manager.warm("c")));
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
        const Result<Lease> b = co_await manager.warm("b");
        EXPECT_TRUE(b);
        EXPECT_EQ(state(manager, "c"), ModelState::kWarm) << "though it was used least";
        EXPECT_EQ(state(manager, "a"), ModelState::kCold);
        EXPECT_FALSE(co_await manager.warm("a")) << "nobody can make room";
        c.reset();
        EXPECT_TRUE(co_await manager.warm("a"));
    });
}

TEST_F(WarmSetTest, AModestWarmUpTakesNobodysPlace) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_TRUE(co_await manager.warm_if_room("a"));
        EXPECT_TRUE(co_await manager.warm_if_room("b"));
        EXPECT_EQ((co_await manager.warm_if_room("c")).error().message,
                  "there is no room for 'c' beside the models that are warm");
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        EXPECT_FALSE(manager.hold_if_warm("c"));
        EXPECT_TRUE(manager.hold_if_warm("a"));
    });
}

// --- popularity

TEST_F(WarmSetTest, TheModelThatIsAskedForLeastMakesRoom) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (const char* name : {"a", "a", "a", "b"}) co_await visit(manager, name);
        co_await visit(manager, "c");
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm) << "the one used last is asked for less";
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
    });
}

TEST_F(WarmSetTest, ADisplacedModelComesBackWhenNobodyWantsAnything) {
    settings_.model_cache_size = 1;
    tuning_.placement.restore_factor = 1.25;
    tuning_.placement.restore_after = 50ms;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (const char* name : {"a", "a", "a", "b"}) co_await visit(manager, name);
        EXPECT_EQ(state(manager, "b"), ModelState::kWarm);
        co_await until(is(manager, "a", ModelState::kWarm));
        EXPECT_EQ(state(manager, "b"), ModelState::kCold);
        EXPECT_EQ(n_loads("a"), 2);
        const std::uint64_t before = status(manager, "a").found_warm;
        co_await visit(manager, "a");
        EXPECT_EQ(status(manager, "a").found_warm, before + 1);

        co_await visit(manager, "b");
        co_await visit(manager, "a", 10ms);
        co_await until([&] { return n_children() == 0; });
        co_await sleep_for(150ms);
        EXPECT_EQ(n_children(), 0U) << "memory that was given back on purpose is not filled again by itself";
    });
}

// --- over a restart

TEST_F(WarmSetTest, RemembersWhatWasWarmAndUsedMost) {
    tuning_.usage_file = (folder_ / "home" / "usage").string();
    settings_.model_cache_size = 3;
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(manager.startup_models(), std::vector<std::string>{}) << "there is no default among so many";
        for (const char* name : {"a", "b", "b", "hog.hog_64", "hog.hog_64", "hog.hog_64"}) {
            co_await visit(manager, name);
        }
    });
    const UsageByName written = read_usage(tuning_.usage_file);
    EXPECT_TRUE(written.at("b").warm);
    EXPECT_GT(written.at("hog.hog_64").memory_correction, 8 << 20);
    io_.restart();
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(manager.startup_models(), (std::vector<std::string>{"hog.hog_64", "b", "a"}));
        co_await visit(manager, "b");
        EXPECT_TRUE(status(manager, "b").last_used);
    });
    io_.restart();
    settings_.model_order = {"c", "a", "b", "hog.hog_64"};
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(manager.startup_models(), (std::vector<std::string>{"c", "a", "b"}))
            << "what is configured goes first";
        co_return;
    });
}

TEST_F(WarmSetTest, PinsSurviveARestart) {
    tuning_.usage_file = (folder_ / "usage").string();
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await visit(manager, "a");
        co_await visit(manager, "b");
        co_await visit(manager, "b");
        EXPECT_TRUE(co_await manager.pin("a", true));
        EXPECT_TRUE(co_await manager.pin("c", true)) << "a cold one";
    });
    io_.restart();
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_TRUE(status(manager, "a").pinned);
        EXPECT_TRUE(status(manager, "c").pinned);
        EXPECT_FALSE(status(manager, "b").pinned);
        EXPECT_EQ(manager.startup_models(), std::vector<std::string>{"a"}) << "what is pinned goes first";
        co_await visit(manager, "a");
        EXPECT_EQ((co_await manager.evict("a", false)).error().message, "'a' is pinned; unpin it first");
        EXPECT_FALSE(co_await manager.acquire("b")) << "nobody makes room for it";
        EXPECT_TRUE(co_await manager.pin("a", false));
        EXPECT_FALSE(read_usage(tuning_.usage_file).at("a").pinned) << "as soon as it is said";
    });
    io_.restart();
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_FALSE(status(manager, "a").pinned);
        EXPECT_TRUE(status(manager, "c").pinned);
        co_return;
    });
}

TEST_F(WarmSetTest, GarbageInTheUsageFileChangesNothing) {
    tuning_.usage_file = (folder_ / "usage").string();
    std::ofstream(tuning_.usage_file) << std::string("sutazai-usage 1\n\0\xff\tb\twarm\n", 27);
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_EQ(manager.startup_models(), std::vector<std::string>{});
        co_await visit(manager, "a");
    });
    EXPECT_TRUE(read_usage(tuning_.usage_file).at("a").warm) << "it is written anew";
}

TEST_F(WarmSetTest, CountersOutliveTheEngine) {
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        for (int i = 0; i < 2; ++i) {
            const Lease held = co_await lease(manager, "a");
            ipc::TokenStream stream = held.engine().submit(request("count 5"));
            for (GenerationUpdate update; !update.last();) update = co_await stream.next();
            if (i == 0) {
                EXPECT_TRUE(co_await manager.evict("b", false));
            }
        }
        const std::uint64_t steps = status(manager, "a").stats.steps;
        EXPECT_GE(steps, 10U);
        EXPECT_TRUE(co_await manager.evict("a", false));
        EXPECT_EQ(status(manager, "a").stats.steps, steps);
        co_await visit(manager, "a");
        EXPECT_EQ(status(manager, "a").stats.steps, steps);
    });
}

}  // namespace
}  // namespace sutazai::models
