// Artifacts of a real, small model: what one engine kept, another uses, unless it is not what it should be.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "artifact/weights_digest.h"
#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

/// A folder of artifacts that is gone after the test, and engines that use it one after the other.
class Artifacts : public testing::Test {
  protected:
    ~Artifacts() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] EngineConfig config() const {
        EngineConfig config{.batch_size = 2, .batch_size_max = 2, .prefix_cache_bytes = 64 << 20};
        config.artifacts = {folder_.string(), 1U << 30, std::chrono::hours(24), test_model()};
        return config;
    }
    /// Over 512 tokens.
    static std::string prompt() {
        std::string text;
        for (int i = 0; i < 8; ++i) text += story(i);
        return text;
    }
    /// Lets one engine compute the prompt and save what it keeps.
    ArtifactReport save() {
        Harness harness(config());
        harness.wait(harness.submit(greedy(prompt(), 4)));
        const auto report = harness.engine().artifacts(ArtifactAction::kSave);
        EXPECT_TRUE(report.has_value());
        return report.value_or(ArtifactReport{});
    }
    [[nodiscard]] std::vector<std::filesystem::path> files() const {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
            if (entry.path().extension() == ".kv" && entry.path().string().find("quarantine") == std::string::npos) {
                found.push_back(entry.path());
            }
        }
        return found;
    }
    /// Another engine answers the same prompt; its usage.
    Usage answer_again() {
        Harness harness(config());
        (void)harness.engine().artifacts(ArtifactAction::kPrune);  // waits until the store is open
        const auto end = harness.wait(harness.submit(greedy(prompt(), 20)));
        expect_same(reference(prompt(), 20), end.delta.content);
        restored_from_disk_ = harness.stats().artifact_restored_tokens;
        return end.finished->usage;
    }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("sutazai-artifacts-" + std::to_string(getpid()));
    std::uint64_t restored_from_disk_ = 0;
};

TEST_F(Artifacts, AKnownPromptSurvivesARestart) {
    const ArtifactReport report = save();
    EXPECT_GE(report.saved, 2U);
    EXPECT_EQ(files().size(), report.saved);
    const Usage usage = answer_again();
    EXPECT_EQ(usage.cached_tokens, usage.prompt_tokens - 1) << "the last block, which is not whole, too";
    EXPECT_EQ(restored_from_disk_, usage.cached_tokens);
    EXPECT_EQ(save().saved, 0U) << "it was on the disk already";
}

TEST_F(Artifacts, AnotherQuestionUsesThePartThatItShares) {
    save();
    Harness harness(config());
    (void)harness.engine().artifacts(ArtifactAction::kPrune);
    const std::string other = prompt().substr(0, prompt().size() / 2) + "And now for something else?";
    const auto end = harness.wait(harness.submit(greedy(other, 16)));
    EXPECT_GT(end.finished->usage.cached_tokens, 256U) << "a block that is shared in part is used in part";
    EXPECT_LT(end.finished->usage.cached_tokens, end.finished->usage.prompt_tokens - 5);
    expect_same(reference(other, 16), end.delta.content);
}

TEST_F(Artifacts, WhatIsUsedAgainIsWrittenWithoutBeingAsked) {
    Harness harness(config());
    (void)harness.engine().artifacts(ArtifactAction::kPrune);
    harness.wait(harness.submit(greedy(prompt(), 4)));
    EXPECT_TRUE(files().empty());
    harness.wait(harness.submit(greedy(prompt() + " Again?", 4)));
    for (int i = 0; i < 500 && files().size() < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_GE(files().size(), 2U);
}

TEST_F(Artifacts, AreLoadedOnRequestAndRemoved) {
    const std::uint64_t saved = save().saved;
    Harness harness(config());
    const auto restored = harness.engine().artifacts(ArtifactAction::kRestore);
    ASSERT_TRUE(restored.has_value());
    EXPECT_EQ(restored->restored, saved);
    EXPECT_GT(restored->bytes, 0U);
    const auto end = harness.wait(harness.submit(greedy(prompt(), 4)));
    EXPECT_GE(end.finished->usage.cached_tokens, 512U);
}

TEST_F(Artifacts, ASaveThatTheDiskRefusesIsNoSuccess) {
    (void)signal(SIGXFSZ, SIG_IGN);
    Harness harness(config());
    harness.wait(harness.submit(greedy(prompt(), 4)));
    (void)harness.engine().artifacts(ArtifactAction::kPrune);  // waits until the store is open
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{4096, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto failed = harness.engine().artifacts(ArtifactAction::kSave);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->saved, 0U);
    EXPECT_GE(failed->failed, 2U);
    EXPECT_NE(failed->problem.find(" artifacts were not written: "), std::string::npos) << failed->problem;
    EXPECT_NE(failed->problem.find("File too large"), std::string::npos) << failed->problem;
    EXPECT_TRUE(files().empty());
}

TEST_F(Artifacts, ALoadThatHasNoRoomSaysSo) {
    EXPECT_GE(save().saved, 2U);
    EngineConfig small = config();
    small.prefix_cache_bytes = 1 << 14;
    Harness harness(small);
    const auto restored = harness.engine().artifacts(ArtifactAction::kRestore);
    ASSERT_TRUE(restored);
    EXPECT_EQ(restored->restored, 0U);
    EXPECT_NE(restored->problem.find("PREFIX_CACHE_BYTES"), std::string::npos) << restored->problem;
}

TEST_F(Artifacts, AreNotKeptUnderTheNameOfOtherWeights) {
    const std::filesystem::path mine = folder_.string() + ".gguf";
    std::filesystem::copy_file(test_model(), mine);
    EngineConfig changed = config();
    changed.artifacts.model_path = mine.string();  // not the file that the model was loaded from
    {
        Harness harness(changed);
        harness.wait(harness.submit(greedy(prompt(), 4)));
        const auto saved = harness.engine().artifacts(ArtifactAction::kSave);
        ASSERT_FALSE(saved);
        EXPECT_NE(saved.error().message.find("has changed since it was loaded"), std::string::npos)
            << saved.error().message;
    }
    std::filesystem::remove(mine);
    EXPECT_TRUE(!std::filesystem::exists(folder_) || files().empty());
}

TEST_F(Artifacts, DamagedFilesAreComputedAgain) {
    save();
    for (const auto& file : files()) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekp(static_cast<std::streamoff>(std::filesystem::file_size(file) / 2));
        stream.put('!');
    }
    EXPECT_EQ(answer_again().cached_tokens, 0U);
}

/// Replaces a block by one that is whole and well signed, and wrong: keys of the first layer are others. (Tokens'
/// positions stand before them.)
class Forger {
  public:
    explicit Forger(const std::filesystem::path& folder) : folder_(folder) {
        parts_ = load_test_model()->properties().fingerprint;
        parts_.weights = artifact::weights_digest(folder, test_model()).value();
        store_ = artifact::ArtifactStore::open({.folder = folder}, artifact::Fingerprint(parts_)).value();
        store_->refresh();
    }
    /// The deepest block that is whole, or the short one at the end.
    [[nodiscard]] artifact::ArtifactStore::Entry last(bool whole) const {
        const auto entries = store_->entries(now_);
        const auto found = std::ranges::max_element(entries, {}, [&](const artifact::ArtifactStore::Entry& entry) {
            return (entry.n_tokens == artifact::kBlockTokens) == whole ? entry.first : -1;
        });
        EXPECT_EQ(found->n_tokens == artifact::kBlockTokens, whole);
        return *found;
    }
    void forge(const artifact::ChainHash& hash) {
        const artifact::Block block = store_->get(hash, now_).value();
        EXPECT_TRUE(block.info.canary.has_value());
        std::vector<std::byte> payload(block.payload.begin(), block.payload.end());
        const std::size_t end = std::min<std::size_t>(40'960, payload.size() / 2);
        EXPECT_GT(end, 12'000U);
        for (std::size_t at = 8192; at < end; at += 4) payload[at + 3] ^= std::byte{0x81};
        std::filesystem::remove(artifact::block_path(folder_ / artifact::Fingerprint(parts_).id(), hash));
        store_->refresh();
        EXPECT_TRUE(store_->put(block.info, payload, now_).has_value());
    }

  private:
    std::filesystem::path folder_;
    artifact::FingerprintParts parts_;
    std::unique_ptr<artifact::ArtifactStore> store_;
    artifact::UnixTime now_ = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
};

TEST_F(Artifacts, AStateThatIsNotTheChainsIsNoticedByItsCanary) {
    for (const bool whole : {true, false}) {
        SCOPED_TRACE(whole ? "the last whole block" : "the short block at the end");
        save();
        artifact::ChainHash forged;
        {
            Forger forger(folder_);
            forged = forger.last(whole).hash;
            forger.forge(forged);
        }
        const Usage usage = answer_again();
        EXPECT_EQ(usage.cached_tokens, 0U);
        EXPECT_TRUE(std::ranges::none_of(files(), [&](const auto& file) {
            return file.filename().string().starts_with(to_hex(forged));
        })) << "it is still offered";
        std::filesystem::remove_all(folder_);
    }
}

TEST_F(Artifacts, APartOfAForgedBlockIsNoticedToo) {
    save();
    {
        Forger forger(folder_);
        forger.forge(forger.last(true).hash);
    }
    Harness harness(config());
    (void)harness.engine().artifacts(ArtifactAction::kPrune);
    const std::string other = prompt().substr(0, prompt().size() * 3 / 5) + "And now for something else?";
    const auto end = harness.ask(greedy(other, 16));
    EXPECT_EQ(end.finished->usage.cached_tokens, 0U);
    EXPECT_EQ(harness.stats().artifact_restored_tokens > 256U, true) << "it was not loaded: the test shows nothing";
    expect_same(reference(other, 16), end.delta.content);
}

}  // namespace
}  // namespace sutazai::engine
