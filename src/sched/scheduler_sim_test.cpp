// Seeded random workloads against a fake engine that has a KV memory and a host memory of its own, either of which
// fails now and then. After every step: the books agree with themselves (check()), each computed token stands where the
// sequence says, cells are conserved, host memory holds just the blocks that the books name and keeps to its budget,
// nobody starves, and every request ends with exactly the tokens that it would get alone.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>
#include <set>

#include "sched/scheduler.h"

namespace sutazai::sched {
namespace {

/// A KV memory that remembers which token stands at which position of each slot, and a model whose next token is a hash
/// of the whole sequence: any mistake in forking or trimming changes the answer.
class FakeEngine {
  public:
    FakeEngine(int slots, int partial_removal_tokens) : sequences_(slots), cuttable_(partial_removal_tokens) {}

    void apply(const KvOp& op) {
        if (const auto* fork = std::get_if<Fork>(&op)) {
            ASSERT_TRUE(sequences_[fork->to].empty());
            ASSERT_LE(fork->n_tokens, static_cast<int>(sequences_[fork->from].size()));
            ASSERT_TRUE(may_cut(fork->from, fork->n_tokens)) << "only the whole state can be copied";
            sequences_[fork->to].assign(sequences_[fork->from].begin(),
                                        sequences_[fork->from].begin() + fork->n_tokens);
        } else if (const auto* trim = std::get_if<Trim>(&op)) {
            ASSERT_LE(trim->n_tokens, static_cast<int>(sequences_[trim->slot].size()));
            ASSERT_TRUE(trim->n_tokens == 0 || may_cut(trim->slot, trim->n_tokens)) << "such a state cannot be cut";
            sequences_[trim->slot].resize(trim->n_tokens);
        } else if (const auto* save = std::get_if<Save>(&op)) {
            const auto& sequence = sequences_[save->slot];
            ASSERT_EQ(save->first % kBlockTokens, 0);
            ASSERT_LE(save->first + save->n_tokens, static_cast<int>(sequence.size()));
            ASSERT_TRUE(host_
                            .try_emplace(save->block, sequence.begin() + save->first,
                                         sequence.begin() + save->first + save->n_tokens)
                            .second);
        } else if (const auto* load = std::get_if<Load>(&op)) {
            auto& sequence = sequences_[load->slot];
            ASSERT_EQ(load->first, static_cast<int>(sequence.size()));
            const auto& block = host_.at(load->block);
            const int skip = load->first % kBlockTokens;
            ASSERT_LE(skip + load->n_tokens, static_cast<int>(block.size()));
            sequence.insert(sequence.end(), block.begin() + skip, block.begin() + skip + load->n_tokens);
        } else {
            ASSERT_EQ(host_.erase(std::get<Drop>(op).block), 1);
        }
    }
    void forget(BlockId block) { host_[block].clear(); }
    [[nodiscard]] const std::map<BlockId, std::vector<Token>>& host() const { return host_; }
    void compute(const Chunk& chunk, const std::vector<Token>& truth) {
        auto& sequence = sequences_[chunk.slot];
        ASSERT_EQ(static_cast<int>(sequence.size()), chunk.first);
        sequence.insert(sequence.end(), truth.begin() + chunk.first, truth.begin() + chunk.first + chunk.n_tokens);
        ASSERT_TRUE(std::equal(sequence.begin(), sequence.end(), truth.begin()))
            << "a fork that differs from recomputation";
    }
    /// What an aborted step may leave: some of the chunk's tokens.
    void compute_part(const Chunk& chunk, const std::vector<Token>& truth, int n) {
        auto& sequence = sequences_[chunk.slot];
        sequence.insert(sequence.end(), truth.begin() + chunk.first, truth.begin() + chunk.first + n);
    }
    [[nodiscard]] Token next(SlotId slot) const {
        std::uint32_t hash = 2166136261U;
        for (const Token token : sequences_[slot]) hash = (hash ^ static_cast<std::uint32_t>(token)) * 16777619U;
        return static_cast<Token>(hash % 50);
    }

  private:
    [[nodiscard]] bool may_cut(SlotId slot, int n_tokens) const {
        const int n = static_cast<int>(sequences_[slot].size());
        return n == n_tokens || n <= cuttable_;
    }

    std::vector<std::vector<Token>> sequences_;
    int cuttable_;
    std::map<BlockId, std::vector<Token>> host_;
};

Token next_alone(const std::vector<Token>& sequence) {
    std::uint32_t hash = 2166136261U;
    for (const Token token : sequence) hash = (hash ^ static_cast<std::uint32_t>(token)) * 16777619U;
    return static_cast<Token>(hash % 50);
}

/// Images are runs of tokens below zero, -100 * image - place; those of odd numbers are computed whole.
std::vector<Apart> images_in(const std::vector<Token>& tokens) {
    std::vector<Apart> out;
    for (int i = 0; i < static_cast<int>(tokens.size()); ++i) {
        if (tokens[i] >= 0) continue;
        if (-tokens[i] % 100 == 0) out.push_back({i, 0, (-tokens[i] / 100) % 2 == 1});
        ++out.back().n_tokens;
    }
    return out;
}

/// A chunk is of tokens alone, or of one image; then whole, if that is to be.
void check_chunk(const Chunk& chunk, const std::vector<Token>& tokens) {
    const int end = chunk.first + chunk.n_tokens;
    for (const Apart& apart : images_in(tokens)) {
        if (end <= apart.first || apart.first + apart.n_tokens <= chunk.first) continue;
        ASSERT_TRUE(apart.first <= chunk.first && end <= apart.first + apart.n_tokens) << "a chunk of two kinds";
        ASSERT_TRUE(!apart.whole || end == apart.first + apart.n_tokens) << "a part of what is to be whole";
    }
}

struct Tracked {
    std::vector<Token> tokens;
    int n_prompt = 0;
    int n_max = 0;
    Time arrival{0};
    std::uint64_t salt = 0;
};

/// Tokens that were not computed.
struct Saved {
    std::int64_t restored = 0;      ///< they came back from host memory
    std::int64_t checkpointed = 0;  ///< of prompts, where memory cannot be cut
};

void simulate(std::uint32_t seed, Saved& saved) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };

    Limits limits;
    const bool large = below(10) == 0;  // sequences of several blocks
    limits.kv_cells = large ? 600 + below(1500) : 60 + below(400);
    limits.context_per_sequence = 40 + below(limits.kv_cells - 40);
    limits.slots = 2 + below(14);
    limits.batch_size_max = 1 + below(limits.slots);
    limits.batch_size = 1 + below(limits.batch_size_max);
    limits.batch_tokens = limits.batch_size_max + below(120);
    limits.prefill_tokens = 1 + below(120);
    limits.max_queue = 1000;
    limits.forks_at_once = 1 + below(4);
    limits.prefix_sharing = below(5) != 0;
    limits.host_bytes_per_token = 7;
    if (below(3) == 0) limits.partial_removal_tokens = below(2) == 0 ? 0 : below(limits.context_per_sequence);
    const bool cuttable = limits.partial_removal_tokens == std::numeric_limits<int>::max();
    if (cuttable && below(2) == 0) limits.host_bytes = 7ULL * static_cast<std::uint64_t>(below(3 * limits.kv_cells));
    Scheduler scheduler(limits);
    FakeEngine engine(limits.slots, limits.partial_removal_tokens);

    std::map<RequestId, Tracked> open;
    const int requests = 5 + below(60);
    int submitted = 0;
    int ended = 0;
    Time now(0);
    int idle_steps = 0;

    const auto submit = [&] {
        Tracked t;
        // Few distinct heads, so that prefixes are shared; sometimes a whole earlier answer as the next turn's head.
        const int head = below(4);
        const int n_head = 1 + below(limits.context_per_sequence / 2);
        for (int i = 0; i < n_head; ++i) t.tokens.push_back(head * 100 + i % 50);
        for (int n = below(3) == 0 ? 1 + below(2) : 0; n > 0; --n) {
            const int image = 1 + below(4);
            for (int i = 0; i < 4 + 9 * image; ++i) t.tokens.push_back(-100 * image - i);
            t.tokens.push_back(below(50));
        }
        for (int i = below(10); i > 0; --i) t.tokens.push_back(below(50));
        if (!open.empty() && below(3) == 0) t.tokens = open.begin()->second.tokens;
        t.n_prompt = static_cast<int>(t.tokens.size());
        t.arrival = now;
        const int max_new = below(8) == 0 ? -1 : 1 + below(30);
        const RequestId id = ++submitted;
        std::vector<RequestId> forks;
        for (int n = below(4) == 0 ? below(9) : 0; n > 0 && submitted < requests; --n) forks.push_back(++submitted);
        t.salt = below(4) == 0 ? 1 : 0;
        const auto admission =
            scheduler.submit({id, t.tokens, max_new, below(3), t.salt, forks, images_in(t.tokens)}, now);
        if (t.n_prompt >= limits.context_per_sequence) {
            ASSERT_EQ(admission, Scheduler::Admission::kTooLong);
            ended += 1 + static_cast<int>(forks.size());
            return;
        }
        ASSERT_EQ(admission, Scheduler::Admission::kAccepted);
        const int room = limits.context_per_sequence - t.n_prompt;
        t.n_max = t.n_prompt + (max_new < 0 ? room : std::min(room, max_new));
        for (const RequestId fork : forks) open.emplace(fork, t);
        open.emplace(id, std::move(t));
    };

    while (ended < requests) {
        while (submitted < requests && below(3) == 0) ASSERT_NO_FATAL_FAILURE(submit());
        if (!open.empty() && below(40) == 0) {
            auto victim = open.begin();
            std::advance(victim, below(static_cast<int>(open.size())));
            scheduler.cancel(victim->first);
            ASSERT_FALSE(scheduler.is_running(victim->first));
            open.erase(victim);
            ++ended;
        }
        now += Time(1000 + below(20'000));
        const Step step = scheduler.plan(now);
        int n_apart = 0;  // which is not in the step's own batch
        for (const Chunk& chunk : step.chunks) {
            const std::vector<Token>& tokens = open.at(chunk.request).tokens;
            ASSERT_NO_FATAL_FAILURE(check_chunk(chunk, tokens));
            if (tokens[chunk.first] < 0) n_apart += chunk.n_tokens;
        }
        ASSERT_LE(step.n_tokens - n_apart, limits.batch_tokens);
        ASSERT_LE(scheduler.running(), limits.batch_size_max);
        ASSERT_EQ(scheduler.running() + scheduler.waiting(), static_cast<int>(open.size()));
        idle_steps = step.empty() && !open.empty() ? idle_steps + 1 : 0;
        ASSERT_LT(idle_steps, 2) << "work is waiting and nothing is planned";
        std::set<SlotId> failed;
        for (const KvOp& op : step.ops) {
            const auto* load = std::get_if<Load>(&op);
            if (load != nullptr && failed.contains(load->slot)) continue;
            if (load != nullptr && (below(10) == 0 || engine.host().at(load->block).empty())) {
                failed.insert(load->slot);
                scheduler.restore_failed(*load);
                continue;
            }
            ASSERT_NO_FATAL_FAILURE(engine.apply(op));
            if (load != nullptr) {
                saved.restored += load->n_tokens;
                scheduler.restored(load->n_tokens, Time(load->n_tokens * (below(20) == 0 ? 1000 : 3)));
            }
            if (const auto* save = std::get_if<Save>(&op)) {
                if (below(30) == 0) {
                    engine.forget(save->block);
                    scheduler.save_failed(save->block);
                } else {
                    scheduler.saved(save->block, static_cast<std::uint64_t>(save->n_tokens) * 7 + 9);
                }
            }
        }
        if (!failed.empty()) {
            scheduler.roll_back(step);
            ASSERT_NO_FATAL_FAILURE(scheduler.check());
            continue;
        }
        if (below(200) == 0) scheduler.save_all();
        if (!step.empty() && below(15) == 0) {
            for (const Chunk& chunk : step.chunks) {
                engine.compute_part(chunk, open.at(chunk.request).tokens, below(chunk.n_tokens + 1));
            }
            scheduler.roll_back(step);
            ASSERT_NO_FATAL_FAILURE(scheduler.check());
            continue;
        }
        for (const Chunk& chunk : step.chunks) {
            ASSERT_NO_FATAL_FAILURE(engine.compute(chunk, open.at(chunk.request).tokens));
        }
        scheduler.commit(step, Time(1000 + 100 * step.n_tokens));
        for (const Chunk& chunk : step.chunks) {
            if (!chunk.wants_logits) continue;
            Tracked& t = open.at(chunk.request);
            const Token token = engine.next(chunk.slot);
            ASSERT_EQ(token, next_alone(t.tokens));
            t.tokens.push_back(token);
            const bool more = scheduler.append(chunk.request, token);
            ASSERT_EQ(more, static_cast<int>(t.tokens.size()) < t.n_max);
            const bool stops = below(40) == 0;
            if (!more || stops) {
                if (!cuttable) saved.checkpointed += scheduler.view(chunk.request).cached_tokens;
                scheduler.finish(chunk.request);
                open.erase(chunk.request);
                ++ended;
            }
        }
        ASSERT_NO_FATAL_FAILURE(scheduler.check());
        ASSERT_LE(scheduler.host().bytes(), limits.host_bytes);
        for (const auto& [id, t] : open) {
            ASSERT_LT(now - t.arrival, std::chrono::minutes(3)) << "request " << id << " starves";
        }
    }
    EXPECT_TRUE(scheduler.idle());
    for (const KvOp& op : scheduler.plan(now).ops) ASSERT_NO_FATAL_FAILURE(engine.apply(op));
    EXPECT_EQ(static_cast<int>(engine.host().size()), scheduler.host().count());
    for (const auto& [block, tokens] : engine.host()) EXPECT_TRUE(scheduler.host().contains(block));
    EXPECT_TRUE(limits.prefix_sharing || scheduler.cells().used() == 0);
}

TEST(SchedulerSimulation, EveryRequestGetsWhatItWouldGetAlone) {
    Saved saved;
    for (std::uint32_t seed = 1; seed <= 3000; ++seed) {
        simulate(seed, saved);
        if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    EXPECT_GT(saved.restored, 10'000) << "the workloads hardly ask for host memory";
    EXPECT_GT(saved.checkpointed, 100'000) << "hardly anything is shared where memory cannot be cut";
}

}  // namespace
}  // namespace sutazai::sched
