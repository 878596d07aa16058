// The engine's threads without llama.cpp, so that ThreadSanitizer sees all that they do: reading, preparing, decoding,
// keeping artifacts, orders.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/collector.h"
#include "engine/testing/fake_model.h"

namespace sutazai::engine {
namespace {

using namespace std::chrono_literals;

GenerationRequest request(std::string prompt, int max_tokens) {
    GenerationRequest out;
    out.prompt = std::move(prompt);
    out.sampling.temperature = 0;
    out.max_tokens = max_tokens;
    return out;
}

/// Prompts that begin alike in groups, of a few blocks each.
std::string prompt(int i) {
    std::string text = "group " + std::to_string(i % 5) + ": ";
    while (text.size() < 300U + static_cast<std::size_t>(i % 3) * 200) text += "the same again and again, ";
    return text + std::to_string(i);
}

class EngineThreads : public testing::Test {
  protected:
    void SetUp() override {
        FakeModel::wrongs().clear();
        folder_ = std::filesystem::temp_directory_path() / ("sutazai-threads-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::ofstream(folder_ / "model.gguf") << "weights";
    }
    void TearDown() override {
        EXPECT_EQ(FakeModel::wrongs(), std::vector<std::string>());
        std::filesystem::remove_all(folder_);
    }
    [[nodiscard]] EngineConfig config() const {
        EngineConfig out;
        out.batch_size = out.batch_size_max = 4;
        out.batch_tokens = 256;
        out.prefix_cache_bytes = 1 << 20;
        out.artifacts = {(folder_ / "artifacts").string(), 64 << 20, 1h, (folder_ / "model.gguf").string()};
        return out;
    }

    std::filesystem::path folder_;
};

TEST_F(EngineThreads, EveryAnswerIsItsPromptsWhateverGoesOnBeside) {
    constexpr int kAsking = 3;
    constexpr int kEach = 25;
    Collector collector;
    {
        // Too few cells and slots for all: chains are pushed out, saved and restored.
        Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{.kv_cells = 2048, .slots = 8, .context = 1024}),
                      config(), [&](StepReport report) { collector.take(std::move(report)); });
        std::atomic<bool> done = false;
        std::jthread watcher([&] {
            while (!done) {
                (void)engine.works();
                std::this_thread::sleep_for(1ms);
            }
        });
        std::jthread orders([&] {
            for (int i = 0; !done; ++i) {
                const auto action = static_cast<ArtifactAction>(i % 3);
                EXPECT_TRUE(engine.artifacts(action)) << i;
            }
        });
        std::vector<std::jthread> asking;
        for (int k = 0; k < kAsking; ++k) {
            asking.emplace_back([&, k] {
                std::mt19937 random(static_cast<unsigned>(k));
                for (int i = 0; i < kEach; ++i) {
                    const auto base = static_cast<RequestId>(1000 * (k + 1) + 10 * i);
                    const std::string text = prompt(static_cast<int>(random() % 40));
                    const int n = 1 + static_cast<int>(random() % 30);
                    engine.submit(base, request(text, n));
                    engine.submit(base + 1, request(prompt(static_cast<int>(random() % 40)), 500));
                    GenerationRequest embed = request(text, 1);
                    embed.task = Task::kEmbed;
                    engine.submit(base + 2, std::move(embed));
                    engine.cancel(base + 1);
                    const GenerationUpdate got = collector.wait(base);
                    EXPECT_EQ(got.delta.content, FakeModel::answer(text, n));
                    EXPECT_EQ(collector.wait(base + 2).embedding.size(), 2U);
                }
            });
        }
        asking.clear();
        done = true;
        orders.join();
        engine.wait_until_idle();
        EXPECT_TRUE(engine.works().empty());
        // So that the last figures count what the last order has left.
        EXPECT_TRUE(engine.artifacts(ArtifactAction::kSave));
        engine.submit(1, request("the last one", 1));
        (void)collector.wait(1);
    }
    const EngineStats stats = collector.stats();
    EXPECT_GT(stats.cached_tokens, 0U);
    EXPECT_GT(stats.host_restored_tokens, 0U)
        << "nothing came back from host memory: the test shows less than it should";
    EXPECT_GT(stats.artifacts, 0U);
}

TEST_F(EngineThreads, AnEndInTheMiddleOfEverythingIsAnEnd) {
    for (int round = 0; round < 10; ++round) {
        Collector collector;
        Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{}), config(),
                      [&](StepReport report) { collector.take(std::move(report)); });
        for (RequestId id = 1; id <= 20; ++id) engine.submit(id, request(prompt(static_cast<int>(id)), 1000));
        (void)engine.artifacts(ArtifactAction::kPrune);
        std::jthread order([&] { (void)engine.artifacts(ArtifactAction::kSave); });
        std::this_thread::sleep_for(std::chrono::milliseconds(round));
        engine.stop();
        order.join();
    }
}

TEST_F(EngineThreads, AnOrderThatComesTooLateIsToldSo) {
    Collector collector;
    Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{}), config(),
                  [&](StepReport report) { collector.take(std::move(report)); });
    ASSERT_TRUE(engine.artifacts(ArtifactAction::kSave));
    engine.stop();
    const auto late = engine.artifacts(ArtifactAction::kSave);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().message, "the engine is being stopped");
}

/// The work of that name, if somebody is at it.
std::optional<std::uint64_t> progress_of(const Engine& engine, const char* what) {
    for (const Work& work : engine.works()) {
        if (std::strcmp(work.what, what) == 0) return work.progress;
    }
    return std::nullopt;
}

std::uint64_t begun(const Engine& engine) {
    std::optional<std::uint64_t> progress;
    while (!(progress = progress_of(engine, "a step"))) std::this_thread::yield();
    return *progress;
}

TEST_F(EngineThreads, AStepThatHangsShowsNoProgressAndOneThatToilsDoes) {
    for (const bool hangs : {true, false}) {
        Collector collector;
        FakeModel::Faults faults;
        (hangs ? faults.hangs_at : faults.toils_at) = '!';
        Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{}, &faults), config(),
                      [&](StepReport report) { collector.take(std::move(report)); });
        engine.submit(1, request("a!b", 5));
        while (!faults.stays) std::this_thread::yield();
        const std::uint64_t before = begun(engine);
        if (hangs) {
            std::this_thread::sleep_for(50ms);
            EXPECT_EQ(begun(engine), before);
        } else {
            while (begun(engine) == before) std::this_thread::yield();
        }
        faults.let_go = true;
        EXPECT_EQ(collector.wait(1).delta.content, FakeModel::answer("a!b", 5));
    }
}

TEST_F(EngineThreads, AThreadThatDiesSaysSo) {
    Collector collector;
    FakeModel::Faults faults;
    faults.throws_at = '!';
    std::promise<std::string> died;
    Engine engine(
        std::make_unique<FakeModel>(FakeModel::Shape{}, &faults), config(),
        [&](StepReport report) { collector.take(std::move(report)); },
        [&](const std::string& why) { died.set_value(why); });
    engine.submit(1, request("a!b", 5));
    auto why = died.get_future();
    ASSERT_EQ(why.wait_for(60s), std::future_status::ready);
    EXPECT_EQ(why.get(), "the decode thread died: the kernel is gone");
}

TEST_F(EngineThreads, WhatCannotBePreparedFailsAlone) {
    Collector collector;
    FakeModel::Faults faults;
    faults.unreadable = '?';
    Engine engine(std::make_unique<FakeModel>(FakeModel::Shape{}, &faults), config(),
                  [&](StepReport report) { collector.take(std::move(report)); });
    engine.submit(1, request("a?", 5));
    engine.submit(2, request("b", 5));
    EXPECT_EQ(collector.wait(1).error->message, "the request could not be prepared: it cannot be read");
    EXPECT_EQ(collector.wait(2).delta.content, FakeModel::answer("b", 5));
}

}  // namespace
}  // namespace sutazai::engine
