#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>

namespace sutazai::sched {
namespace {

using std::chrono::milliseconds;

std::vector<Token> sequence(int n, Token first = 0) {
    std::vector<Token> tokens(n);
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
}

Limits limits() {
    return {.kv_cells = 1000,
            .context_per_sequence = 1000,
            .slots = 8,
            .batch_size = 4,
            .batch_size_max = 4,
            .batch_tokens = 256};
}

/// Runs one step: every completed sequence gets the token `next`.
Step run(Scheduler& scheduler, Time now = Time(0), Token next = 7000) {
    Step step = scheduler.plan(now);
    scheduler.commit(step, milliseconds(10));
    for (const Chunk& chunk : step.chunks) {
        if (chunk.wants_logits && !scheduler.append(chunk.request, next)) scheduler.finish(chunk.request);
    }
    scheduler.check();
    return step;
}

TEST(Scheduler, PrefillsInChunksThenDecodes) {
    Scheduler scheduler(limits());
    ASSERT_EQ(scheduler.submit({1, sequence(300), 2, 0}, Time(0)), Scheduler::Admission::kAccepted);
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 0, 256, false}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 256, 44, true}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 300, 1, true}}));
    EXPECT_TRUE(scheduler.idle());
    EXPECT_EQ(scheduler.kept(), 1);
}

TEST(Scheduler, ARequestSitsOutUntilItsTokenComes) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(10), 50, 0}, Time(0));
    (void)scheduler.submit({2, sequence(10, 500), 50, 0}, Time(0));
    run(scheduler);
    Step step = scheduler.plan(Time(0));
    scheduler.commit(step, milliseconds(10));
    EXPECT_TRUE(scheduler.awaits_token(1));
    ASSERT_TRUE(scheduler.append(2, 7000));
    EXPECT_FALSE(scheduler.awaits_token(2));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{2, 1, 11, 1, true}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{2, 1, 12, 1, true}}));
    scheduler.cancel(2);
    EXPECT_TRUE(run(scheduler).chunks.empty());
    ASSERT_TRUE(scheduler.awaits_token(1));
    ASSERT_TRUE(scheduler.append(1, 7000));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 11, 1, true}}));
}

TEST(Scheduler, RefusesWhatCannotFit) {
    Scheduler scheduler(limits());
    EXPECT_EQ(scheduler.submit({1, sequence(1000), 1, 0}, Time(0)), Scheduler::Admission::kTooLong);
    EXPECT_EQ(scheduler.submit({1, sequence(999), 1, 0}, Time(0)), Scheduler::Admission::kAccepted);
}

TEST(Scheduler, RefusesWhenTheQueueIsFull) {
    Limits small = limits();
    small.max_queue = 1;
    Scheduler scheduler(small);
    EXPECT_EQ(scheduler.submit({1, sequence(4), 1, 0}, Time(0)), Scheduler::Admission::kAccepted);
    EXPECT_EQ(scheduler.submit({2, sequence(4), 1, 0}, Time(0)), Scheduler::Admission::kQueueFull);
}

TEST(Scheduler, ForksTheSequenceOfARunningRequest) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(100), 50, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({2, sequence(100), 50, 0}, Time(0));
    const Step step = run(scheduler);
    EXPECT_EQ(step.ops, (std::vector<KvOp>{Fork{0, 1, 99}}));
    EXPECT_EQ(step.chunks, (std::vector<Chunk>{{1, 0, 100, 1, true}, {2, 1, 99, 1, true}}));
    EXPECT_EQ(scheduler.view(2).cached_tokens, 99);
    EXPECT_EQ(scheduler.view(2).shared_tokens, 99) << "of one that runs";
    EXPECT_EQ(scheduler.view(2).copied_tokens, 0);
    EXPECT_EQ(scheduler.cells().used(), 102);
}

TEST(Scheduler, OneLeadsAndTheOthersFollow) {
    Scheduler scheduler(limits());
    for (RequestId id = 1; id <= 3; ++id) {
        std::vector<Token> prompt = sequence(100);
        prompt.push_back(static_cast<Token>(1000 + id));
        (void)scheduler.submit({id, prompt, 5, 0}, Time(0));
    }
    EXPECT_EQ(run(scheduler).n_tokens, 101);
    const Step step = run(scheduler);
    EXPECT_EQ(step.ops, (std::vector<KvOp>{Fork{0, 1, 100}, Fork{0, 2, 100}}));
    EXPECT_EQ(step.n_tokens, 3);
}

TEST(Scheduler, AFollowerDoesNotWaitForALeaderThatIsGone) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(600), 5, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({2, sequence(600), 5, 0}, Time(0));
    EXPECT_EQ(run(scheduler).chunks.size(), 1U) << "2 follows 1";
    scheduler.cancel(1);
    const Step step = run(scheduler);
    EXPECT_EQ(step.chunks, (std::vector<Chunk>{{2, 1, 512, 88, true}}));
    EXPECT_EQ(step.ops, (std::vector<KvOp>{Fork{0, 1, 512}}));
}

TEST(Scheduler, TheNextTurnContinuesTheKeptSequence) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(10), 3, 0}, Time(0));
    while (!scheduler.idle()) run(scheduler);
    std::vector<Token> next = sequence(10);
    next.insert(next.end(), {7000, 7000, 7000, 5, 6});
    (void)scheduler.submit({2, next, 3, 0}, Time(0));
    run(scheduler);
    EXPECT_EQ(scheduler.view(2).cached_tokens, 12) << "the last generated token was never computed";
    EXPECT_EQ(scheduler.view(2).shared_tokens, 0) << "nobody runs";
    while (!scheduler.idle()) run(scheduler);
    EXPECT_EQ(scheduler.kept(), 1) << "the longer sequence replaces the one it begins with";
}

TEST(Scheduler, KeepsNothingForModelsThatCannotShare) {
    Limits whole = limits();
    whole.prefix_sharing = false;
    Scheduler scheduler(whole);
    for (RequestId id = 1; id <= 2; ++id) {
        (void)scheduler.submit({id, sequence(50), 1, 0}, Time(0));
        EXPECT_EQ(run(scheduler).n_tokens, 50);
    }
    EXPECT_EQ(scheduler.kept(), 0);
    EXPECT_EQ(scheduler.cells().used(), 0);
}

TEST(Scheduler, LeastRecentlyUsedSequencesMakeRoom) {
    Scheduler scheduler(limits());
    for (RequestId id = 1; id <= 3; ++id) {
        (void)scheduler.submit({id, sequence(300, static_cast<Token>(id * 1000)), 1, 0}, Time(0));
        while (!scheduler.idle()) run(scheduler);
    }
    (void)scheduler.submit({4, sequence(300, 1000), 1, 0}, Time(0));  // touches the first sequence
    while (!scheduler.idle()) run(scheduler);
    (void)scheduler.submit({5, sequence(300, 9000), 1, 0}, Time(0));
    while (!scheduler.idle()) run(scheduler);
    (void)scheduler.submit({6, sequence(300, 1000), 1, 0}, Time(0));
    EXPECT_EQ(run(scheduler).n_tokens, 1) << "still kept";
    (void)scheduler.submit({7, sequence(300, 2000), 1, 0}, Time(0));
    EXPECT_GT(run(scheduler).n_tokens, 200) << "the least recently used one went";
}

TEST(Scheduler, PreemptsTheYoungestWhenCellsRunOut) {
    Limits tight = limits();
    tight.kv_cells = 220;
    tight.context_per_sequence = 220;
    Scheduler scheduler(tight);
    (void)scheduler.submit({1, sequence(100, 0), 100, 0}, Time(0));
    (void)scheduler.submit({2, sequence(100, 5000), 100, 0}, Time(1));
    int most = 0;
    std::string first_after;
    while (!scheduler.idle()) {
        run(scheduler);
        most = std::max(most, scheduler.running());
        if (scheduler.preemptions() == 1 && first_after.empty()) {
            first_after = scheduler.is_running(1) ? "the older runs" : "the older was preempted";
        }
    }
    EXPECT_EQ(most, 2);
    EXPECT_EQ(first_after, "the older runs");
    EXPECT_EQ(scheduler.preemptions(), 1U);
}

TEST(Scheduler, ALongPromptDoesNotStretchTheGapOfThoseWhoGenerate) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(4), 500, 0}, Time(0));
    Step step = run(scheduler);
    for (int i = 0; i < 5; ++i) run(scheduler);
    (void)scheduler.submit({2, sequence(900, 3000), 5, 0}, Time(0));
    for (int i = 0; i < 20; ++i) {
        step = scheduler.plan(Time(0));
        ASSERT_EQ(step.n_decode, 1);
        scheduler.commit(step, milliseconds(10) + milliseconds(2) * (step.n_tokens - 1));
        (void)scheduler.append(1, 1);
        if (i <= 10) continue;
        EXPECT_LE(step.n_tokens, 27) << "50 ms at 2 ms a token";
        EXPECT_GE(step.n_tokens, 22);
    }
}

TEST(Scheduler, AShortPromptIsNotStuckBehindALongOne) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(900), 5, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({2, sequence(20, 5000), 5, 0}, Time(0));
    const Step step = run(scheduler);
    ASSERT_EQ(step.chunks.size(), 2U);
    EXPECT_TRUE(step.chunks[1].wants_logits);
    EXPECT_EQ(step.n_tokens, 256);
}

TEST(Scheduler, LowerPriorityNumbersRunFirstButWaitingMakesUpForIt) {
    Limits one = limits();
    one.batch_size = one.batch_size_max = 1;
    Scheduler scheduler(one);
    (void)scheduler.submit({1, sequence(5), 1, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({2, sequence(5, 100), 1, 3}, Time(0));
    (void)scheduler.submit({3, sequence(5, 200), 1, 1}, Time(0));
    EXPECT_EQ(run(scheduler, Time(0)).chunks.at(0).request, 3U);
    (void)scheduler.submit({4, sequence(5, 300), 1, 1}, milliseconds(2500));
    EXPECT_EQ(run(scheduler, milliseconds(2500)).chunks.at(0).request, 2U) << "level 3 - 2 is older than level 1";
}

TEST(Scheduler, TenantsDoNotSeeEachOthersPrefixes) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({.id = 1, .prompt = sequence(100), .max_new_tokens = 1, .salt = 7}, Time(0));
    run(scheduler);
    (void)scheduler.submit({.id = 2, .prompt = sequence(100), .max_new_tokens = 1, .salt = 8}, Time(0));
    EXPECT_EQ(run(scheduler).n_tokens, 100) << "another tenant's";
    (void)scheduler.submit({.id = 3, .prompt = sequence(100), .max_new_tokens = 1, .salt = 7}, Time(0));
    EXPECT_EQ(run(scheduler).n_tokens, 1) << "its own";
}

TEST(Scheduler, RequestsExpireInTheQueueButNotOnceBegun) {
    Limits one = limits();
    one.batch_size = one.batch_size_max = 1;
    one.queue_timeout = milliseconds(100);
    Scheduler scheduler(one);
    (void)scheduler.submit({1, sequence(5), 50, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({2, sequence(5, 100), 1, 0}, Time(0));
    EXPECT_TRUE(scheduler.expire(milliseconds(100)).empty());
    EXPECT_EQ(scheduler.expire(milliseconds(101)), (std::vector<RequestId>{2}));
    EXPECT_TRUE(scheduler.is_running(1));
    EXPECT_EQ(scheduler.waiting(), 0);
}

TEST(Scheduler, HoldsForCompanionsOnTheirWayButNeverALoneRequest) {
    Limits holding = limits();
    holding.batch_timeout = milliseconds(100);
    Scheduler scheduler(holding);
    (void)scheduler.submit({1, sequence(5), 2, 0}, Time(0));
    EXPECT_TRUE(scheduler.plan(Time(0), 3).held);
    EXPECT_TRUE(scheduler.plan(milliseconds(99), 3).held);
    EXPECT_EQ(scheduler.plan(milliseconds(100), 3).chunks.size(), 1U) << "no longer than the hold";

    Scheduler lone(holding);
    (void)lone.submit({1, sequence(5), 2, 0}, Time(0));
    EXPECT_EQ(lone.plan(Time(0), 0).chunks.size(), 1U);
}

TEST(Scheduler, ARolledBackStepIsPlannedAgain) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({1, sequence(300), 5, 0}, Time(0));
    run(scheduler);
    const Step step = scheduler.plan(Time(0));
    scheduler.roll_back(step);
    scheduler.check();
    const Step again = scheduler.plan(Time(0));
    EXPECT_EQ(again.chunks, step.chunks);
    EXPECT_EQ(again.ops, (std::vector<KvOp>{Trim{0, 256}}));
}

TEST(Scheduler, StepsComeInWholeGroupsOfRows) {
    Limits grouped = limits();
    grouped.row_group = 4;
    Scheduler scheduler(grouped);
    for (RequestId id = 1; id <= 3; ++id)
        (void)scheduler.submit({id, sequence(20, static_cast<Token>(100 * id)), 500, 0}, Time(0));
    run(scheduler);
    (void)scheduler.submit({4, sequence(900, 5000), 5, 0}, Time(0));
    int mixed = 0;
    for (int i = 0; i < 3; ++i) {
        const Step step = run(scheduler);
        ASSERT_EQ(step.n_decode, 3);
        EXPECT_EQ(step.n_tokens % 4, 0) << step.n_tokens;
        mixed += step.n_tokens > 3 ? 1 : 0;
    }
    EXPECT_EQ(mixed, 3);
}

Limits with_host_memory() {
    Limits small = limits();
    small.kv_cells = small.context_per_sequence = 400;
    small.host_bytes = 10'000;
    return small;
}

TEST(Scheduler, APushedOutSequenceComesBackFromHostMemory) {
    Scheduler scheduler(with_host_memory());
    const auto complete = [&](RequestId id, const std::vector<Token>& prompt) {
        EXPECT_EQ(scheduler.submit({id, prompt, 1, 0}, Time(0)), Scheduler::Admission::kAccepted);
        std::vector<KvOp> ops;
        while (!scheduler.idle()) {
            const Step step = run(scheduler);
            ops.insert(ops.end(), step.ops.begin(), step.ops.end());
        }
        return ops;
    };
    complete(1, sequence(300));
    const auto pushed_out = complete(2, sequence(300, 5000));
    EXPECT_EQ(pushed_out, (std::vector<KvOp>{Save{0, 0, 256, 1}, Save{0, 256, 44, 2}, Trim{0, 0}}));
    EXPECT_EQ(scheduler.host().bytes(), 300U);

    // It comes back; the other one makes room for it. What comes back is not used up.
    const auto back = complete(3, sequence(300));
    EXPECT_EQ(back, (std::vector<KvOp>{Save{1, 0, 256, 3}, Save{1, 256, 44, 4}, Trim{1, 0}, Load{0, 0, 256, 1},
                                       Load{0, 256, 43, 2}}));
    EXPECT_EQ(scheduler.restored_tokens(), 299U);
    EXPECT_EQ(scheduler.host().count(), 4);
    EXPECT_EQ(complete(4, sequence(300, 5000)).front(), KvOp(Trim{0, 0})) << "it was saved already";
}

TEST(Scheduler, ComputesWhatIsQuickerComputed) {
    Scheduler scheduler(with_host_memory());
    scheduler.restored(256, std::chrono::seconds(1));
    for (RequestId id = 1; id <= 3; ++id) {
        (void)scheduler.submit({id, sequence(300, id == 2 ? 5000 : 0), 1, 0}, Time(0));
        while (!scheduler.idle()) {
            for (const KvOp& op : run(scheduler).ops) {
                EXPECT_FALSE(std::holds_alternative<Save>(op) || std::holds_alternative<Load>(op));
            }
        }
    }
    EXPECT_EQ(scheduler.restored_tokens(), 0U);
}

TEST(Scheduler, WhatCannotBePutBackIsComputed) {
    Scheduler scheduler(with_host_memory());
    for (const Token first : {0, 5000}) {
        (void)scheduler.submit({static_cast<RequestId>(first + 1), sequence(300, first), 1, 0}, Time(0));
        while (!scheduler.idle()) run(scheduler);
    }
    (void)scheduler.submit({3, sequence(300), 1, 0}, Time(0));
    const Step step = scheduler.plan(Time(0));
    const auto load = std::ranges::find_if(step.ops, [](const KvOp& op) { return std::holds_alternative<Load>(op); });
    ASSERT_NE(load, step.ops.end());
    scheduler.restore_failed(std::get<Load>(*load));
    scheduler.roll_back(step);
    scheduler.check();
    EXPECT_EQ(scheduler.view(3).cached_tokens, 0);
    std::vector<Chunk> chunks;
    while (!scheduler.idle()) {
        const Step next = run(scheduler);
        for (const KvOp& op : next.ops) EXPECT_FALSE(std::holds_alternative<Load>(op));
        chunks.insert(chunks.end(), next.chunks.begin(), next.chunks.end());
    }
    EXPECT_EQ(chunks.front().first, 0);
}

TEST(Scheduler, APreemptedRequestIsSwappedOutAndIn) {
    Limits small = with_host_memory();
    small.kv_cells = small.context_per_sequence = 130;
    Scheduler scheduler(small);
    (void)scheduler.submit({1, sequence(60), 60, 0}, Time(0));
    (void)scheduler.submit({2, sequence(60, 5000), 60, 0}, Time(1));
    int computed = 0;
    while (!scheduler.idle()) computed += run(scheduler).n_tokens;
    EXPECT_GT(scheduler.preemptions(), 0U);
    EXPECT_GT(scheduler.restored_tokens(), 60U);
    EXPECT_LE(computed, 60 + 59 + 60 + 59 + static_cast<int>(scheduler.preemptions()));
}

TEST(Scheduler, ForksOfAPromptComputeItOnce) {
    Scheduler scheduler(limits());
    ASSERT_EQ(scheduler.submit({1, sequence(100), 2, 0, 0, {2, 3, 4}}, Time(0)), Scheduler::Admission::kAccepted);
    int computed = 0;
    while (!scheduler.idle()) {
        const Step step = run(scheduler);
        computed += step.n_tokens - step.n_decode;
    }
    EXPECT_EQ(computed, 100 + 3) << "of each fork only the last token, which its first answer comes from";
}

TEST(Scheduler, OneWhoComesLaterNeedNotWaitForAllForksOfAnother) {
    Limits few = limits();
    few.forks_at_once = 8;
    Scheduler scheduler(few);
    Scheduler::NewRequest many{.id = 1, .prompt = sequence(10), .max_new_tokens = 2};
    for (RequestId id = 2; id <= 40; ++id) many.forks.push_back(id);
    ASSERT_EQ(scheduler.submit(std::move(many), Time(0)), Scheduler::Admission::kAccepted);
    EXPECT_EQ(scheduler.waiting(), 40) << "those count that are not in the queue yet";
    run(scheduler, milliseconds(100));
    ASSERT_EQ(scheduler.submit({100, sequence(10, 500), 2, 0}, milliseconds(200)), Scheduler::Admission::kAccepted);
    for (int i = 3; !scheduler.is_running(100); ++i) {
        ASSERT_LT(i, 12) << "the newcomer stands behind all of them";
        run(scheduler, milliseconds(100 * i));
    }
    scheduler.cancel(40);
    scheduler.cancel(1);
    scheduler.check();
    for (int i = 20; !scheduler.idle(); ++i) {
        ASSERT_LT(i, 200);
        run(scheduler, milliseconds(100 * i));
    }
    EXPECT_EQ(scheduler.waiting(), 0);
}

TEST(Scheduler, WhatIsComputedApartIsInChunksOfItsOwn) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({.id = 1, .prompt = sequence(600), .max_new_tokens = 2, .apart = {{50, 300, false}}},
                           Time(0));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 0, 50, false}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 50, 256, false}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 306, 44, false}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 350, 250, true}}));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{1, 0, 600, 1, true}}));
    EXPECT_TRUE(scheduler.idle());
}

TEST(Scheduler, WhatIsComputedWholeIsInOneChunkHoweverLittleAStepMayHold) {
    Scheduler scheduler(limits());
    (void)scheduler.submit({.id = 1, .prompt = sequence(400, 1000), .max_new_tokens = 200}, Time(0));
    run(scheduler);
    run(scheduler);
    (void)scheduler.submit(
        {.id = 2, .prompt = sequence(400), .max_new_tokens = 2, .apart = {{10, 300, true}, {310, 20, true}}}, Time(0));
    std::vector<Chunk> chunks;
    for (int i = 0; i < 100 && chunks.size() < 5; ++i) {
        const Step step = run(scheduler);
        ASSERT_FALSE(step.chunks.empty());
        EXPECT_EQ(step.chunks.front().request, 1U) << "the stream goes on in every step";
        for (const Chunk& chunk : step.chunks) {
            if (chunk.request == 2) chunks.push_back(chunk);
        }
    }
    const auto has = [&](int first, int n) {
        return std::ranges::any_of(chunks, [&](const Chunk& c) { return c.first == first && c.n_tokens == n; });
    };
    EXPECT_TRUE(has(10, 300));
    EXPECT_TRUE(has(310, 20));
}

TEST(Scheduler, WhatIsComputedApartIsSharedLikeAnyPrefix) {
    Scheduler scheduler(limits());
    const std::vector<Apart> apart{{5, 40, true}};
    (void)scheduler.submit({.id = 1, .prompt = sequence(60), .max_new_tokens = 2, .apart = apart}, Time(0));
    while (!scheduler.idle()) run(scheduler);
    (void)scheduler.submit({.id = 2, .prompt = sequence(60), .max_new_tokens = 2, .apart = apart}, Time(0));
    EXPECT_EQ(run(scheduler).chunks, (std::vector<Chunk>{{2, 1, 59, 1, true}}));
    EXPECT_EQ(scheduler.view(2).cached_tokens, 59);
}

}  // namespace
}  // namespace sutazai::sched
