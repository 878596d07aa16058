// The decode loop on a real, small model of random weights.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

TEST(Engine, GivesWhatWasAskedFor) {
    Harness harness;
    const auto end = harness.wait(harness.submit(greedy("Once upon a time", 20)));
    ASSERT_TRUE(end.finished.has_value());
    EXPECT_EQ(end.finished->reason, FinishReason::kLength);
    EXPECT_EQ(end.finished->usage.completion_tokens, 20U);
    EXPECT_EQ(end.n_tokens, 20U);
    EXPECT_GT(end.finished->usage.prompt_tokens, 0U);
    EXPECT_FALSE(end.delta.content.empty());
}

TEST(Engine, ForkedPrefixesGiveTheTextOfComputedOnes) {
    Harness harness;
    std::map<int, RequestId> ids;
    for (int i = 0; i < 6; ++i) ids[i] = harness.submit(greedy(story(i), 24));
    std::uint32_t cached = 0;
    for (const auto& [i, id] : ids) {
        const auto end = harness.wait(id);
        expect_same(reference(story(i), 24), end.delta.content);
        cached += end.finished->usage.cached_tokens;
    }
    EXPECT_GT(cached, 0U) << "nobody shared anything: the test shows nothing";
}

TEST(Engine, PreemptedRequestsGiveTheSameText) {
    const auto prompt = [](int i) { return "Chapter " + std::to_string(i * 11 + 3); };
    Harness tight({.batch_size = 4, .batch_size_max = 4}, 256);
    std::map<int, RequestId> ids;
    for (int i = 0; i < 4; ++i) ids[i] = tight.submit(greedy(prompt(i), 150));
    for (const auto& [i, id] : ids) expect_same(reference(prompt(i), 150), tight.wait(id).delta.content);
    EXPECT_GT(tight.stats().preemptions, 0U) << "nobody was preempted: the test shows nothing";
}

TEST(Engine, SwappedOutRequestsGiveTheSameText) {
    const auto prompt = [](int i) { return "Chapter " + std::to_string(i * 11 + 3); };
    Harness tight({.batch_size = 4, .batch_size_max = 4, .prefix_cache_bytes = 64 << 20}, 256);
    std::map<int, RequestId> ids;
    for (int i = 0; i < 4; ++i) ids[i] = tight.submit(greedy(prompt(i), 150));
    for (const auto& [i, id] : ids) expect_same(reference(prompt(i), 150), tight.wait(id).delta.content);
    EXPECT_GT(tight.stats().preemptions, 0U) << "nobody was preempted: the test shows nothing";
    EXPECT_GT(tight.stats().host_restored_tokens, 0U) << "nobody came back from host memory: the test shows nothing";
}

TEST(Engine, PrefixesThatWerePushedOutComeBackAndGiveTheSameText) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .prefix_cache_bytes = 64 << 20}, 512);
    const std::string prompt = story(0) + story(1);
    const auto first = harness.wait(harness.submit(greedy(prompt, 20)));
    EXPECT_EQ(first.finished->usage.cached_tokens, 0U);
    for (int i = 0; i < 3; ++i) harness.wait(harness.submit(greedy(std::to_string(i) + story(i) + story(i), 200)));
    const RequestId repeated = harness.submit(greedy(prompt, 20));
    const auto again = harness.wait(repeated);
    EXPECT_EQ(again.finished->usage.cached_tokens, again.finished->usage.prompt_tokens - 1);
    const PromptProgress told = harness.prompt(repeated);
    EXPECT_EQ(told.prompt_tokens, again.finished->usage.prompt_tokens);
    EXPECT_EQ(told.ready_tokens, told.prompt_tokens);
    EXPECT_EQ(told.cached_tokens(), again.finished->usage.cached_tokens);
    EXPECT_GT(told.host_tokens, 100U);
    EXPECT_EQ(told.shared_tokens + told.artifact_tokens, 0U);
    EXPECT_EQ(told.queued, again.finished->timings.queued);
    EXPECT_GT(harness.stats().host_restored_tokens, 100U);
    EXPECT_GT(harness.stats().host_bytes, 0U);
    expect_same(reference(prompt, 20), first.delta.content);
    expect_same(reference(prompt, 20), again.delta.content);
}

TEST(Engine, WithoutSharingEveryPromptIsComputed) {
    Harness harness({.batch_size = 2, .prefix_sharing = false, .prefix_cache_bytes = 64 << 20});
    for (int i = 0; i < 2; ++i) {
        const auto end = harness.wait(harness.submit(greedy(story(0), 8)));
        EXPECT_EQ(end.finished->usage.cached_tokens, 0U);
    }
}

TEST(Engine, ACrowdDoesNotChangeAnAnswer) {
    Harness harness({.batch_size = 8, .batch_size_max = 8});
    const auto prompt = [](int i) { return std::to_string(i * i) + " green bottles"; };
    std::vector<RequestId> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(harness.submit(greedy(prompt(i), 10 + 3 * i)));
    for (int i = 0; i < 24; i += 5) expect_same(reference(prompt(i), 10 + 3 * i), harness.wait(ids[i]).delta.content);
}

TEST(Engine, StopStringsNeverLeak) {
    Harness harness;
    const std::string whole = harness.wait(harness.submit(greedy("Once upon a time", 60))).delta.content;
    ASSERT_GT(whole.size(), 20U);
    GenerationRequest request = greedy("Once upon a time", 60);
    std::size_t at = whole.size() / 2;
    while ((static_cast<unsigned char>(whole[at]) & 0xC0U) == 0x80U) ++at;
    std::size_t until = at + 3;
    while (until < whole.size() && (static_cast<unsigned char>(whole[until]) & 0xC0U) == 0x80U) ++until;
    request.stop = {whole.substr(at, until - at)};
    const auto end = harness.wait(harness.submit(std::move(request)));
    EXPECT_EQ(end.finished->reason, FinishReason::kStop);
    EXPECT_EQ(end.delta.content, whole.substr(0, whole.find(whole.substr(at, until - at))));
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
    EXPECT_EQ(harness.stats().running, 0U);
}

TEST(Engine, AFullQueueRefusesAtOnce) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .max_queue = 1});
    const RequestId endless = harness.submit(greedy("Hello", -1));
    harness.wait_for_tokens(endless, 3);
    harness.submit(greedy("waits", 1));
    const auto refused = harness.wait(harness.submit(greedy("refused", 1)));
    ASSERT_TRUE(refused.error.has_value());
    EXPECT_EQ(refused.error->code, ErrorCode::kQueueFull);
    EXPECT_GE(refused.error->retry_after_s, 1);
}

TEST(Engine, RequestsThatWaitTooLongAreToldSo) {
    Harness harness({.batch_size = 1, .batch_size_max = 1, .queue_timeout = std::chrono::milliseconds(500)});
    harness.wait_for_tokens(harness.submit(greedy("Hello", -1)), 1);
    const auto expired = harness.wait(harness.submit(greedy("World", 4)));
    ASSERT_TRUE(expired.error.has_value());
    EXPECT_EQ(expired.error->code, ErrorCode::kQueueTimeout);
}

TEST(Engine, TheBatchGrowsWhileRequestsWait) {
    Harness harness({.batch_size = 2, .batch_size_max = 16});
    std::vector<RequestId> ids;
    for (int i = 0; i < 64; ++i) ids.push_back(harness.submit(greedy("Line " + std::to_string(i), 100)));
    std::uint64_t widest = 0;
    for (const RequestId id : ids) {
        EXPECT_EQ(harness.wait(id).n_tokens, 100U);
        widest = std::max(widest, harness.stats().batch_width);
    }
    EXPECT_GT(widest, 2U);
}

TEST(Engine, ChatsGoThroughTheTemplate) {
    Harness harness;
    GenerationRequest chat = greedy("", 8);
    chat.prompt = Chat{{text_message(Role::kSystem, "Be brief."), text_message(Role::kUser, "Hello")}};
    const auto as_chat = harness.wait(harness.submit(chat));
    const auto as_text = harness.wait(harness.submit(greedy(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n", 8)));
    EXPECT_EQ(as_chat.delta.content, as_text.delta.content);
    EXPECT_EQ(as_chat.finished->usage.prompt_tokens, as_text.finished->usage.prompt_tokens);
}

}  // namespace
}  // namespace sutazai::engine
