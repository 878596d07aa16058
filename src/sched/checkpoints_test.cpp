// Sharing between sequences whose memory cannot be cut at any token.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "sched/scheduler.h"

namespace sutazai::sched {
namespace {

using std::chrono::milliseconds;

/// `n_common` tokens that all have, then `n_own` that only `own` has.
std::vector<Token> sequence(int n_common, Token own = 0, int n_own = 0) {
    std::vector<Token> tokens(n_common);
    std::iota(tokens.begin(), tokens.end(), 0);
    for (int i = 0; i < n_own; ++i) tokens.push_back(10'000 * own + i);
    return tokens;
}

Limits limits(int partial_removal_tokens = 0) {
    Limits limits{.kv_cells = 4000,
                  .context_per_sequence = 2000,
                  .slots = 8,
                  .batch_size = 4,
                  .batch_size_max = 4,
                  .batch_tokens = 256};
    limits.partial_removal_tokens = partial_removal_tokens;
    return limits;
}

Step run(Scheduler& scheduler) {
    Step step = scheduler.plan(Time(0));
    scheduler.commit(step, milliseconds(10));
    for (const Chunk& chunk : step.chunks) {
        if (chunk.wants_logits && !scheduler.append(chunk.request, 7000)) scheduler.finish(chunk.request);
    }
    scheduler.check();
    return step;
}

/// Computes a request alone; its cached tokens. `n_new` is at least 2.
int answer(Scheduler& scheduler, RequestId id, std::vector<Token> prompt, int n_new = 2) {
    EXPECT_EQ(scheduler.submit({id, std::move(prompt), n_new, 0}, Time(0)), Scheduler::Admission::kAccepted);
    run(scheduler);
    const int cached = scheduler.view(id).cached_tokens;
    while (!scheduler.idle()) run(scheduler);
    return cached;
}

TEST(Checkpoints, TheSecondOfAPrefixLeavesOneAndTheThirdUsesIt) {
    Scheduler scheduler(limits());
    EXPECT_EQ(answer(scheduler, 1, sequence(300, 1, 20)), 0);
    EXPECT_EQ(answer(scheduler, 2, sequence(300, 2, 20)), 0) << "nothing ends at 300 yet";
    EXPECT_EQ(answer(scheduler, 3, sequence(300, 3, 20)), 300);
    EXPECT_EQ(answer(scheduler, 4, sequence(300, 4, 20)), 300);
}

TEST(Checkpoints, ASequenceIsContinuedWhereItEnds) {
    Scheduler scheduler(limits());
    answer(scheduler, 1, sequence(100), 3);
    std::vector<Token> next = sequence(100);
    next.insert(next.end(), {7000, 7000, 7000, 1, 2});
    EXPECT_EQ(answer(scheduler, 2, next, 3), 102) << "the last generated token was never computed";
}

TEST(Checkpoints, ThoseThatComeTogetherComputeTheirPrefixOnce) {
    Scheduler scheduler(limits());
    for (RequestId id = 1; id <= 4; ++id) {
        (void)scheduler.submit({id, sequence(300, static_cast<Token>(id), 20), 1, 0}, Time(0));
    }
    int computed = 0;
    while (!scheduler.idle()) computed += run(scheduler).n_tokens;
    EXPECT_EQ(computed, 300 + 4 * 20);
}

TEST(Checkpoints, ThePrefillStopsThere) {
    Scheduler scheduler(limits());
    answer(scheduler, 1, sequence(100, 1, 50));
    (void)scheduler.submit({2, sequence(100, 2, 50), 1, 0}, Time(0));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{2, 1, 0, 100, false}}));
    const Step step = run(scheduler);
    EXPECT_EQ(step.ops, (std::vector<KvOp>{Fork{1, 2, 100}}));
    EXPECT_EQ(step.chunks, (std::vector<Chunk>{{2, 1, 100, 50, true}}));
    EXPECT_EQ(scheduler.kept(), 3);
}

TEST(Checkpoints, APromptThatIsRepeatedIsComputedTwiceAndNoMore) {
    Scheduler scheduler(limits());
    EXPECT_EQ(answer(scheduler, 1, sequence(200)), 0);
    EXPECT_EQ(answer(scheduler, 2, sequence(200)), 0);
    EXPECT_EQ(answer(scheduler, 3, sequence(200)), 199);
    const int kept = scheduler.kept();
    EXPECT_EQ(answer(scheduler, 4, sequence(200)), 199);
    EXPECT_EQ(scheduler.kept(), kept) << "the same is not kept twice";
}

TEST(Checkpoints, WithoutASlotForOneTheAnswerIsComputedAllTheSame) {
    Limits narrow = limits();
    narrow.slots = narrow.batch_size = narrow.batch_size_max = 2;
    Scheduler scheduler(narrow);
    for (RequestId id = 1; id <= 6; ++id) {
        (void)scheduler.submit({id, sequence(300, static_cast<Token>(id), 20), 4, 0}, Time(0));
    }
    for (int i = 0; i < 100 && !scheduler.idle(); ++i) run(scheduler);
    EXPECT_TRUE(scheduler.idle());
}

TEST(Checkpoints, ShortSequencesOfASlidingWindowAreCutAnywhere) {
    Scheduler scheduler(limits(63));
    answer(scheduler, 1, sequence(40, 1, 10));
    EXPECT_EQ(answer(scheduler, 2, sequence(40, 2, 10)), 40);
    answer(scheduler, 3, sequence(0, 3, 200));
    std::vector<Token> other = sequence(0, 3, 50);
    other.push_back(1);
    EXPECT_EQ(answer(scheduler, 4, other), 0) << "what the 50th token saw may be gone";
}

TEST(Checkpoints, AnAbortedStepBeginsAgain) {
    Scheduler scheduler(limits());
    answer(scheduler, 1, sequence(300, 1, 20));
    answer(scheduler, 2, sequence(300, 2, 20));
    (void)scheduler.submit({3, sequence(300, 3, 300), 2, 0}, Time(0));
    EXPECT_EQ(run(scheduler).chunks.front().first, 300);
    scheduler.roll_back(scheduler.plan(Time(0)));
    scheduler.check();
    EXPECT_EQ(scheduler.view(3).cached_tokens, 0) << "they are computed after all";
    const Step step = run(scheduler);
    ASSERT_EQ(step.ops.size(), 1U);
    EXPECT_EQ(std::get<Trim>(step.ops.front()).n_tokens, 0);
    EXPECT_EQ(step.chunks.front().first, 0);
}

}  // namespace
}  // namespace sutazai::sched
