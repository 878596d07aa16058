// Models whose memory cannot be cut at any token: a recurrent one, one that is so in every other layer, and one that
// looks back over a window. Whatever happens to a request, its greedy answer is the one that it gets alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

constexpr std::uint32_t kWindow = 64;  // of toy-gemma3

class MemoryKinds : public testing::TestWithParam<const char*> {
  protected:
    [[nodiscard]] std::string preset() const { return GetParam(); }
    [[nodiscard]] Reference alone(const std::string& prompt, int n_tokens) const {
        return reference(prompt, n_tokens, preset());
    }
    /// Asks for `n` answers at once, one for each prompt; the tokens of the prompts that were not computed.
    std::uint32_t expect_answers(Harness& harness, const std::vector<std::string>& prompts, int n_tokens) const {
        std::vector<RequestId> ids;
        for (const std::string& prompt : prompts) ids.push_back(harness.submit(greedy(prompt, n_tokens)));
        std::uint32_t cached = 0;
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            const auto end = harness.wait(ids[i]);
            EXPECT_TRUE(end.finished.has_value()) << (end.error ? end.error->message : "");
            if (!end.finished) continue;
            expect_same(alone(prompts[i], n_tokens), end.delta.content);
            EXPECT_LT(end.finished->usage.cached_tokens, end.finished->usage.prompt_tokens);
            cached += end.finished->usage.cached_tokens;
        }
        return cached;
    }
};

/// Over 150 tokens that are the same for all, and a few that are not.
std::string chat(int i) {
    return story(1) + story(2) + story(3) + "And what does number " + std::to_string(i * 37) + " say?";
}

TEST_P(MemoryKinds, ChatsAtOnceWithOnePrefix) {
    Harness harness({.batch_size = 8, .batch_size_max = 8}, 4096, preset());
    std::vector<std::string> prompts;
    for (int i = 0; i < 12; ++i) prompts.push_back(chat(i));
    EXPECT_GT(expect_answers(harness, prompts, 24), 5 * 140U) << "hardly anything is shared";
}

TEST_P(MemoryKinds, ChatsOneAfterTheOtherWithOnePrefix) {
    // Little memory, so that cells are used again and again.
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 1024, preset());
    for (int i = 0; i < 8; ++i) {
        expect_answers(harness, {chat(i)}, 40);
        expect_answers(harness, {std::to_string(i) + story(i) + story(i + 1), chat(i).substr(0, 200 + 20 * i)}, 60);
    }
}

TEST_P(MemoryKinds, TheNextTurnContinuesTheLast) {
    Harness harness({.batch_size = 2, .batch_size_max = 2}, 2048, preset());
    // As token ids: the text of an answer need not be read as the tokens that it was written in.
    GenerationRequest request = greedy("", 30);
    request.prompt = load_test_model(preset())->tokenize(greedy(chat(1), 1)).value();
    std::uint32_t computed = 0;
    for (int turn = 0; turn < 4; ++turn) {
        const auto end = harness.ask(request);
        Reference alone = reference(request, 30, preset());
        expect_same(alone, end.delta.content);
        EXPECT_EQ(end.finished->usage.cached_tokens, computed);
        if (end.delta.content != alone.text) return;  // a close choice
        // The last token was drawn and never computed.
        computed = end.finished->usage.prompt_tokens + 29;
        alone.tokens.insert(alone.tokens.end(), {40, 50, 60, 70 + turn});
        request.prompt = alone.tokens;
    }
}

TEST_P(MemoryKinds, ALongPromptThatIsCancelledLeavesTheStreamsAlone) {
    Harness harness({.batch_size = 4, .batch_size_max = 4}, 8192, preset());
    std::map<std::string, RequestId> streams;
    for (int i = 0; i < 2; ++i) streams[chat(i)] = harness.submit(greedy(chat(i), 120));
    for (const auto& [prompt, id] : streams) harness.wait_for_tokens(id, 3);
    std::string text;
    for (int i = 0; i < 60; ++i) text += story(i);
    for (int i = 0; i < 5; ++i) {
        const RequestId cancelled = harness.submit(greedy(text.substr(static_cast<std::size_t>(i)), 4));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        harness.engine().cancel(cancelled);
    }
    for (const auto& [prompt, id] : streams) expect_same(alone(prompt, 120), harness.wait(id).delta.content);
    // And alone, where nothing hinders that the computation is cut short.
    const RequestId cancelled = harness.submit(greedy(text, 4));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    harness.engine().cancel(cancelled);
    expect_answers(harness, {chat(7), text.substr(0, 700)}, 30);
}

TEST_P(MemoryKinds, PreemptedRequestsGiveTheSameText) {
    Harness tight({.batch_size = 4, .batch_size_max = 4}, 256, preset());
    std::vector<std::string> prompts;
    for (int i = 0; i < 4; ++i) prompts.push_back("Chapter " + std::to_string(i * 11 + 3));
    expect_answers(tight, prompts, 150);
    if (preset() != "toy-mamba") {
        EXPECT_GT(tight.stats().preemptions, 0U) << "the test shows nothing";
    }
}

TEST_P(MemoryKinds, HostMemoryAndArtifactsAreLeftAlone) {
    EngineConfig config{.batch_size = 2, .batch_size_max = 2, .prefix_cache_bytes = 64 << 20};
    const auto folder = std::filesystem::temp_directory_path() / ("sutazai-kinds-" + std::to_string(getpid()));
    config.artifacts = {folder.string(), 1U << 30, std::chrono::hours(24), test_model(preset())};
    Harness harness(config, 512, preset());
    for (int i = 0; i < 4; ++i) expect_answers(harness, {chat(i % 2), std::to_string(i) + chat(i)}, 50);
    EXPECT_EQ(harness.stats().host_bytes, 0U);
    const auto saved = harness.engine().artifacts(ArtifactAction::kSave);
    ASSERT_FALSE(saved.has_value());
    EXPECT_NE(saved.error().message.find("cannot be taken apart"), std::string::npos) << saved.error().message;
    std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(All, MemoryKinds, testing::Values("toy-mamba", "toy-jamba", "toy-gemma3"),
                         [](const auto& info) { return std::string(info.param + 4); });

}  // namespace
}  // namespace sutazai::engine
