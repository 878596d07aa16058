// The decode loop on a real, small model of random weights.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "artifact/weights_digest.h"
#include "engine/synth.h"

namespace sutazai::engine {
namespace {

using std::chrono::seconds;

const std::string& toy_model() {
    static const std::string path = [] {
        auto options = synth_preset("toy").value();
        options.quantisation = "f32";  // in which rounding leaves greedy answers alone, whatever the batch
        options.output =
            std::filesystem::temp_directory_path() / ("sutazai-engine-test-" + std::to_string(getpid()) + ".gguf");
        EXPECT_TRUE(synthesize(options).has_value());
        return options.output.string();
    }();
    return path;
}

class RemoveToyModel : public testing::Environment {
    void TearDown() override { std::filesystem::remove(toy_model()); }
};
const auto* const kRemove = testing::AddGlobalTestEnvironment(new RemoveToyModel);

/// An engine whose updates are collected by request.
class Harness {
  public:
    explicit Harness(EngineConfig config = {.batch_size = 8}, std::uint32_t context_tokens = 4096) {
        LoadOptions options;
        options.path = toy_model();
        options.context_tokens = context_tokens;
        options.max_sequences = std::max(config.batch_size, config.batch_size_max);
        options.batch_tokens = config.batch_tokens;
        options.threads = 1;
        options.kv_f32 = true;
        auto model = Model::load(options, [](float) {});
        EXPECT_TRUE(model.has_value());
        engine_ =
            std::make_unique<Engine>(std::move(*model), config, [this](StepReport report) { take(std::move(report)); });
    }
    ~Harness() { engine_.reset(); }

    RequestId submit(GenerationRequest request) {
        const RequestId id = ++last_id_;
        engine_->submit(id, std::move(request));
        return id;
    }
    /// Waits for the end of a request; the whole text and the end.
    GenerationUpdate wait(RequestId id) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, seconds(60), [&] { return results_[id].last(); }));
        return results_[id];
    }
    void wait_for_tokens(RequestId id, std::uint32_t n) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, seconds(60), [&] { return results_[id].n_tokens >= n; }));
    }
    EngineStats stats() {
        const std::lock_guard lock(mutex_);
        return stats_;
    }
    Engine& engine() { return *engine_; }

  private:
    void take(StepReport report) {
        const std::lock_guard lock(mutex_);
        for (auto& [id, update] : report.updates) {
            GenerationUpdate& all = results_[id];
            EXPECT_FALSE(all.last()) << "an update after the last";
            all.text += update.text;
            all.n_tokens += update.n_tokens;
            all.finished = update.finished;
            all.error = update.error;
        }
        if (report.stats) stats_ = *report.stats;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<RequestId, GenerationUpdate> results_;
    EngineStats stats_;
    RequestId last_id_ = 0;
    std::unique_ptr<Engine> engine_;
};

GenerationRequest greedy(std::string prompt, int max_tokens) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    return request;
}

/// Greedy text of one prompt, computed token by token with nobody beside it, and how clear each choice was.
struct Reference {
    std::string text;
    std::vector<std::size_t> ends;  ///< length of the text after each token
    std::vector<float> margins;     ///< best logit less second best
};

Reference reference(const std::string& prompt, int n_tokens) {
    LoadOptions options;
    options.path = toy_model();
    options.context_tokens = 1024;
    options.threads = 1;
    options.kv_f32 = true;
    const auto model = Model::load(options, [](float) {}).value();
    std::vector<Token> chain = model->tokenize(greedy(prompt, 1)).value();
    Reference result;
    sched::Step step;
    step.chunks = {{1, 0, 0, static_cast<int>(chain.size()), true}};
    for (int i = 0; i < n_tokens; ++i) {
        EXPECT_EQ(model->decode(step, [&](RequestId) -> const std::vector<Token>& { return chain; }),
                  Model::Outcome::kDone);
        const float* logits = model->logits(0);
        std::vector<float> sorted(logits, logits + model->properties().vocabulary);
        const auto best = std::ranges::max_element(sorted) - sorted.begin();
        std::ranges::partial_sort(sorted, sorted.begin() + 2, std::greater<>());
        result.margins.push_back(sorted[0] - sorted[1]);
        chain.push_back(static_cast<Token>(best));
        model->append_piece(chain.back(), result.text);
        result.ends.push_back(result.text.size());
        step.chunks = {{1, 0, static_cast<int>(chain.size()) - 1, 1, true}};
    }
    return result;
}

/// The guarantee: the same text, but for choices closer than the rounding of llama.cpp's kernels, which differ with the
/// number of rows (0.01 in these logits). After such a choice the texts may go apart.
void expect_same(const Reference& alone, const std::string& text) {
    if (text == alone.text) return;
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(alone.text, text).in1 - alone.text.begin());
    const auto token = static_cast<std::size_t>(std::ranges::upper_bound(alone.ends, at) - alone.ends.begin());
    ASSERT_LT(token, alone.margins.size());
    EXPECT_LT(alone.margins[token], 0.02F) << "token " << token << "\n" << alone.text << "\n" << text;
}

std::string story(int i) {
    std::string text = "A long story about the sea, told in the harbour by an old sailor who had seen everything. ";
    return text + text + "Part " + std::to_string(i) + ": ";
}

TEST(Engine, GivesWhatWasAskedFor) {
    Harness harness;
    const auto end = harness.wait(harness.submit(greedy("Once upon a time", 20)));
    ASSERT_TRUE(end.finished.has_value());
    EXPECT_EQ(end.finished->reason, FinishReason::kLength);
    EXPECT_EQ(end.finished->usage.completion_tokens, 20U);
    EXPECT_EQ(end.n_tokens, 20U);
    EXPECT_GT(end.finished->usage.prompt_tokens, 0U);
    EXPECT_FALSE(end.text.empty());
}

TEST(Engine, ForkedPrefixesGiveTheTextOfComputedOnes) {
    Harness harness;
    std::map<int, RequestId> ids;
    for (int i = 0; i < 6; ++i) ids[i] = harness.submit(greedy(story(i), 24));
    std::uint32_t cached = 0;
    for (const auto& [i, id] : ids) {
        const auto end = harness.wait(id);
        expect_same(reference(story(i), 24), end.text);
        cached += end.finished->usage.cached_tokens;
    }
    EXPECT_GT(cached, 0U) << "nobody shared anything: the test shows nothing";
}

TEST(Engine, PreemptedRequestsGiveTheSameText) {
    const auto prompt = [](int i) { return "Chapter " + std::to_string(i * 11 + 3); };
    Harness tight({.batch_size = 4, .batch_size_max = 4}, 256);
    std::map<int, RequestId> ids;
    for (int i = 0; i < 4; ++i) ids[i] = tight.submit(greedy(prompt(i), 150));
    for (const auto& [i, id] : ids) expect_same(reference(prompt(i), 150), tight.wait(id).text);
    EXPECT_GT(tight.stats().preemptions, 0U) << "nobody was preempted: the test shows nothing";
}

TEST(Engine, SwappedOutRequestsGiveTheSameText) {
    const auto prompt = [](int i) { return "Chapter " + std::to_string(i * 11 + 3); };
    Harness tight({.batch_size = 4, .batch_size_max = 4, .prefix_cache_bytes = 64 << 20}, 256);
    std::map<int, RequestId> ids;
    for (int i = 0; i < 4; ++i) ids[i] = tight.submit(greedy(prompt(i), 150));
    for (const auto& [i, id] : ids) expect_same(reference(prompt(i), 150), tight.wait(id).text);
    EXPECT_GT(tight.stats().preemptions, 0U) << "nobody was preempted: the test shows nothing";
    EXPECT_GT(tight.stats().restored_tokens, 0U) << "nobody came back from host memory: the test shows nothing";
}

TEST(Engine, PrefixesThatWerePushedOutComeBackAndGiveTheSameText) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .prefix_cache_bytes = 64 << 20}, 512);
    const std::string prompt = story(0) + story(1);
    const auto first = harness.wait(harness.submit(greedy(prompt, 20)));
    EXPECT_EQ(first.finished->usage.cached_tokens, 0U);
    for (int i = 0; i < 3; ++i) harness.wait(harness.submit(greedy(std::to_string(i) + story(i) + story(i), 200)));
    const auto again = harness.wait(harness.submit(greedy(prompt, 20)));
    EXPECT_EQ(again.finished->usage.cached_tokens, again.finished->usage.prompt_tokens - 1);
    EXPECT_GT(harness.stats().restored_tokens, 100U);
    EXPECT_GT(harness.stats().host_bytes, 0U);
    expect_same(reference(prompt, 20), first.text);
    expect_same(reference(prompt, 20), again.text);
}

TEST(Engine, WithoutSharingEveryPromptIsComputed) {
    Harness harness({.batch_size = 2, .share_prefixes = false, .prefix_cache_bytes = 64 << 20});
    for (int i = 0; i < 2; ++i) {
        const auto end = harness.wait(harness.submit(greedy(story(0), 8)));
        EXPECT_EQ(end.finished->usage.cached_tokens, 0U);
    }
}

std::unique_ptr<Model> load_toy() {
    LoadOptions options;
    options.path = toy_model();
    options.context_tokens = 1024;
    options.threads = 1;
    options.kv_f32 = true;
    return Model::load(options, [](float) {}).value();
}

/// A folder of artifacts that is gone after the test, and engines that use it one after the other.
class Artifacts : public testing::Test {
  protected:
    ~Artifacts() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] EngineConfig config() const {
        EngineConfig config{.batch_size = 2, .batch_size_max = 2, .prefix_cache_bytes = 64 << 20};
        config.artifacts = {folder_.string(), 1U << 30, std::chrono::hours(24), toy_model()};
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
        expect_same(reference(prompt(), 20), end.text);
        restored_from_disk_ = harness.stats().artifact_tokens;
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
    expect_same(reference(other, 16), end.text);
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
    const auto loaded = harness.engine().artifacts(ArtifactAction::kRestore);
    ASSERT_TRUE(loaded.has_value());
    EXPECT_EQ(loaded->loaded, saved);
    EXPECT_GT(loaded->bytes, 0U);
    const auto end = harness.wait(harness.submit(greedy(prompt(), 4)));
    EXPECT_GE(end.finished->usage.cached_tokens, 512U);
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

TEST_F(Artifacts, AStateThatIsNotTheChainsIsNoticedByItsCanary) {
    save();
    artifact::FingerprintParts parts = load_toy()->properties().fingerprint;
    parts.weights = artifact::weights_digest(folder_, toy_model()).value();
    auto store = artifact::ArtifactStore::open({.folder = folder_}, artifact::Fingerprint(parts)).value();
    const artifact::UnixTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    store->refresh();
    const auto entries = store->entries(now);
    const auto last = std::ranges::max_element(entries, {}, [](const artifact::ArtifactStore::Entry& entry) {
        return entry.n_tokens == artifact::kBlockTokens ? entry.first : -1;
    });
    ASSERT_NE(last, entries.end());
    // Whole and well signed, and wrong: keys of the first layer are others. (Tokens' positions stand before them.)
    const artifact::Block block = store->get(last->hash, now).value();
    ASSERT_TRUE(block.info.canary.has_value());
    std::vector<std::byte> payload(block.payload.begin(), block.payload.end());
    for (std::size_t at = 8192; at < 40'960; at += 4) payload[at + 3] ^= std::byte{0x81};
    std::filesystem::remove(artifact::block_path(folder_ / artifact::Fingerprint(parts).id(), last->hash));
    store->refresh();
    ASSERT_TRUE(store->put(block.info, payload, now).has_value());
    store.reset();

    const Usage usage = answer_again();
    EXPECT_EQ(usage.cached_tokens, 0U);
    EXPECT_TRUE(std::ranges::none_of(files(), [&](const auto& file) {
        return file.filename().string().starts_with(artifact::to_hex(last->hash));
    })) << "it is still offered";
}

TEST(Engine, ACrowdDoesNotChangeAnAnswer) {
    Harness harness({.batch_size = 8, .batch_size_max = 8});
    const auto prompt = [](int i) { return std::to_string(i * i) + " green bottles"; };
    std::vector<RequestId> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(harness.submit(greedy(prompt(i), 10 + 3 * i)));
    for (int i = 0; i < 24; i += 5) expect_same(reference(prompt(i), 10 + 3 * i), harness.wait(ids[i]).text);
}

TEST(Engine, StopStringsNeverLeak) {
    Harness harness;
    const std::string whole = harness.wait(harness.submit(greedy("Once upon a time", 60))).text;
    ASSERT_GT(whole.size(), 20U);
    GenerationRequest request = greedy("Once upon a time", 60);
    std::size_t at = whole.size() / 2;
    while ((static_cast<unsigned char>(whole[at]) & 0xC0U) == 0x80U) ++at;
    std::size_t until = at + 3;
    while (until < whole.size() && (static_cast<unsigned char>(whole[until]) & 0xC0U) == 0x80U) ++until;
    request.stop = {whole.substr(at, until - at)};
    const auto end = harness.wait(harness.submit(std::move(request)));
    EXPECT_EQ(end.finished->reason, FinishReason::kStop);
    EXPECT_EQ(end.text, whole.substr(0, whole.find(whole.substr(at, until - at))));
}

TEST(Engine, APromptThatIsTooLongIsRefusedWithTheNumbers) {
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 256);
    std::string prompt;
    for (int i = 0; i < 400; ++i) prompt += "word " + std::to_string(i) + " ";
    const auto end = harness.wait(harness.submit(greedy(prompt, 4)));
    ASSERT_TRUE(end.error.has_value());
    EXPECT_EQ(end.error->code, ErrorCode::kContextOverflow);
    EXPECT_NE(end.error->message.find("256"), std::string::npos) << end.error->message;
}

TEST(Engine, TheContextsEndIsALengthFinish) {
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 256);
    const auto end = harness.wait(harness.submit(greedy("Hello", -1)));
    EXPECT_EQ(end.finished->reason, FinishReason::kLength);
    EXPECT_EQ(end.finished->usage.prompt_tokens + end.finished->usage.completion_tokens, 256U);
}

TEST(Engine, CancelledRequestsAreFreedAndSilent) {
    Harness harness({.batch_size = 1, .batch_size_max = 1});
    const RequestId endless = harness.submit(greedy("Hello", -1));
    harness.wait_for_tokens(endless, 3);
    const RequestId next = harness.submit(greedy("World", 4));
    harness.engine().cancel(endless);
    EXPECT_EQ(harness.wait(next).n_tokens, 4U);
    harness.engine().wait_until_idle();
    EXPECT_EQ(harness.stats().running, 0);
}

TEST(Engine, AFullQueueRefusesAtOnce) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .queue_limit = 1});
    const RequestId endless = harness.submit(greedy("Hello", -1));
    harness.wait_for_tokens(endless, 3);
    harness.submit(greedy("waits", 1));
    const auto refused = harness.wait(harness.submit(greedy("refused", 1)));
    ASSERT_TRUE(refused.error.has_value());
    EXPECT_EQ(refused.error->code, ErrorCode::kQueueFull);
    EXPECT_GE(refused.error->retry_after_s, 1);
}

TEST(Engine, RequestsThatWaitTooLongAreToldSo) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .queue_timeout = std::chrono::milliseconds(50)});
    harness.submit(greedy("Hello", -1));
    const auto expired = harness.wait(harness.submit(greedy("World", 4)));
    ASSERT_TRUE(expired.error.has_value());
    EXPECT_EQ(expired.error->code, ErrorCode::kQueueTimeout);
}

TEST(Engine, TheBatchGrowsWhileRequestsWait) {
    Harness harness({.batch_size = 2, .batch_size_max = 16});
    std::vector<RequestId> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(harness.submit(greedy("Line " + std::to_string(i), 100)));
    int widest = 0;
    for (const RequestId id : ids) {
        EXPECT_EQ(harness.wait(id).n_tokens, 100U);
        widest = std::max(widest, harness.stats().width);
    }
    EXPECT_GT(widest, 2);
}

TEST(Engine, ChatsGoThroughTheTemplate) {
    Harness harness;
    GenerationRequest chat = greedy("", 8);
    chat.prompt = std::vector<ChatMessage>{{"system", "Be brief."}, {"user", "Hello"}};
    const auto as_chat = harness.wait(harness.submit(chat));
    const auto as_text = harness.wait(harness.submit(greedy(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", 8)));
    EXPECT_EQ(as_chat.text, as_text.text);
    EXPECT_EQ(as_chat.finished->usage.prompt_tokens, as_text.finished->usage.prompt_tokens);
}

/// Computes tokens [first, first + n) of a chain in a slot; the logits after the last.
std::vector<float> compute(Model& model, sched::SlotId slot, const std::vector<Token>& chain, int first, int n) {
    sched::Step step;
    step.chunks = {{1, slot, first, n, true}};
    EXPECT_EQ(model.decode(step, [&](RequestId) -> const std::vector<Token>& { return chain; }), Model::Outcome::kDone);
    return {model.logits(0), model.logits(0) + model.properties().vocabulary};
}

TEST(Model, StatesOfAnyRunOfTokensGoOutAndComeBack) {
    const auto model = load_toy();
    std::vector<Token> chain;
    for (int i = 0; i < 400; ++i) chain.push_back(20 + i * 7 % 300);
    const std::vector<float> expected = compute(*model, 0, chain, 0, 400);
    const KvState first = model->save(0, 0, 256).value();
    const KvState second = model->save(0, 256, 143).value();
    EXPECT_LE(second.size, model->properties().state_bytes_per_token * 143 + 200);

    model->apply(sched::Trim{0, 0});
    ASSERT_TRUE(model->load(3, 0, 0, 256, first));
    ASSERT_TRUE(model->load(3, 256, 256, 143, second));
    EXPECT_EQ(compute(*model, 3, chain, 399, 1).size(), expected.size());
    const std::vector<float> restored(model->logits(0), model->logits(0) + model->properties().vocabulary);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(restored[i], expected[i], 0.02F) << i;

    // Behind a fork that ends inside a block, and only a part of the block.
    model->apply(sched::Fork{3, 4, 300});
    ASSERT_TRUE(model->load(4, 256, 300, 50, second));
    (void)compute(*model, 4, chain, 350, 49);
    const std::vector<float> partly = compute(*model, 4, chain, 399, 1);
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(partly[i], expected[i], 0.02F) << i;
}

TEST(Model, StatesThatAreNotWhatTheyShouldBeAreRefused) {
    const auto model = load_toy();
    std::vector<Token> chain(300, 25);
    (void)compute(*model, 0, chain, 0, 300);
    KvState state = model->save(0, 0, 256).value();
    EXPECT_FALSE(model->load(1, 256, 0, 256, state)) << "begins elsewhere";
    EXPECT_FALSE(model->load(1, 0, 0, 300, state)) << "holds less";
    EXPECT_FALSE(model->load(1, 0, 10, 20, state)) << "leaves a gap behind what the slot holds";
    state.size /= 2;
    EXPECT_FALSE(model->load(1, 0, 0, 100, state)) << "is cut short";
    state.size = 0;
    EXPECT_FALSE(model->load(1, 0, 0, 100, state)) << "is empty";
    // After all of it the slot is empty and the first one intact.
    const std::vector<float> one = compute(*model, 1, chain, 0, 300);
    model->apply(sched::Trim{0, 299});
    const std::vector<float> other = compute(*model, 0, chain, 299, 1);
    for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], other[i], 0.05F) << i;
}

TEST(Model, FilesThatAreNoModelsAreRefusedWithAReason) {
    LoadOptions options;
    options.path = "/proc/self/exe";
    const auto model = Model::load(options, [](float) {});
    ASSERT_FALSE(model.has_value());
    EXPECT_EQ(model.error().code, ErrorCode::kLoadFailed);
    EXPECT_NE(model.error().message.find("could not be loaded: "), std::string::npos);
}

}  // namespace
}  // namespace sutazai::engine
