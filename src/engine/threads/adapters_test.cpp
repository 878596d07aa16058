// Requests of different adapter sets beside one another: what one computed is never used for another, wherever it was
// kept. The fake model's answers depend on the adapters that each token was computed with.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/testing/collector.h"
#include "engine/testing/fake_model.h"

namespace sutazai::engine {
namespace {

using namespace std::chrono_literals;
using Adapters = std::vector<AdapterChoice>;

const std::vector<Adapters>& sets() {
    static const std::vector<Adapters> all{
        {}, {{"one", "1"}}, {{"two", "2"}}, {{"one", "1", 0.5F}}, {{"one", "1"}, {"two", "2"}}};
    return all;
}

GenerationRequest request(std::string prompt, int max_tokens, Adapters adapters) {
    GenerationRequest out;
    out.prompt = std::move(prompt);
    out.sampling.temperature = 0;
    out.max_tokens = max_tokens;
    out.adapters = std::move(adapters);
    return out;
}

class AdapterSets : public testing::Test {
  protected:
    void SetUp() override {
        FakeModel::wrongs().clear();
        folder_ = std::filesystem::temp_directory_path() / ("sutazai-adapter-sets-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::ofstream(folder_ / "model.gguf") << "weights";
    }
    void TearDown() override {
        engine_.reset();
        EXPECT_EQ(FakeModel::wrongs(), std::vector<std::string>());
        std::filesystem::remove_all(folder_);
    }
    void start(int kv_cells) {
        EngineConfig config;
        config.batch_size = config.batch_size_max = 8;
        config.batch_tokens = 256;
        config.prefix_cache_bytes = 1 << 20;
        config.artifacts = {(folder_ / "artifacts").string(), 64 << 20, 1h, (folder_ / "model.gguf").string()};
        engine_.reset();
        engine_ = std::make_unique<Engine>(
            std::make_unique<FakeModel>(FakeModel::Shape{.kv_cells = kv_cells, .slots = 12, .context = 1024}), config,
            [this](StepReport report) { collector_.take(std::move(report)); });
    }
    RequestId submit(const std::string& prompt, const Adapters& adapters) {
        engine_->submit(++last_, request(prompt, 8, adapters));
        return last_;
    }
    std::uint32_t cached(const std::string& prompt, const Adapters& adapters) {
        const GenerationUpdate got = collector_.wait(submit(prompt, adapters));
        EXPECT_EQ(got.delta.content, FakeModel::answer(prompt, 8, adapters));
        return got.finished ? got.finished->usage.cached_tokens : 0;
    }

    std::filesystem::path folder_;
    Collector collector_;
    RequestId last_ = 0;
    std::unique_ptr<Engine> engine_;
};

TEST_F(AdapterSets, TheFakeModelTellsThemApart) {
    const std::string prompt(300, 'p');
    for (const Adapters& one : sets()) {
        for (const Adapters& other : sets()) {
            EXPECT_EQ(FakeModel::answer(prompt, 8, one) == FakeModel::answer(prompt, 8, other), &one == &other);
        }
    }
}

TEST_F(AdapterSets, APrefixIsSharedWithinASetOnly) {
    start(8192);
    const std::string prompt(300, 'p');
    for (const Adapters& set : sets()) EXPECT_EQ(cached(prompt, set), 0U) << set.size();
    for (const Adapters& set : sets()) EXPECT_EQ(cached(prompt, set), prompt.size() - 1) << set.size();
    // Nothing is added by an adapter of no scale.
    EXPECT_EQ(cached(prompt, {{"one", "1", 0}}), prompt.size() - 1);
}

TEST_F(AdapterSets, NobodyFollowsAnotherSetsPrefill) {
    start(8192);
    const std::string prompt(700, 'q');
    std::vector<RequestId> ids;
    for (int round = 0; round < 2; ++round) {
        for (const Adapters& set : sets()) ids.push_back(submit(prompt, set));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const Adapters& set = sets()[i % sets().size()];
        EXPECT_EQ(collector_.wait(ids[i]).delta.content, FakeModel::answer(prompt, 8, set)) << i;
    }
}

TEST_F(AdapterSets, WhatIsKeptInHostMemoryAndOnDiskIsASetsOwn) {
    // Too few cells for all: chains are pushed out and come back.
    start(1024);
    const std::string prompt(600, 'r');
    for (int round = 0; round < 3; ++round) {
        for (const Adapters& set : sets()) (void)cached(prompt, set);
    }
    EXPECT_GT(collector_.stats().host_restored_tokens, 0U) << "nothing came back: the test shows nothing";
    EXPECT_TRUE(engine_->artifacts(ArtifactAction::kSave));

    // Another life: artifacts alone.
    start(8192);
    EXPECT_TRUE(engine_->artifacts(ArtifactAction::kSave));  // until they are known
    for (const Adapters& set : sets()) (void)cached(prompt, set);
    (void)cached(prompt, {{"three", "3"}});
    EXPECT_GT(collector_.stats().artifact_restored_tokens, 0U) << "nothing came back: the test shows nothing";
}

}  // namespace
}  // namespace sutazai::engine
