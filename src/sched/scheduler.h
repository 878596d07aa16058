#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "sched/batch_controller.h"
#include "sched/block_cache.h"
#include "sched/cell_ledger.h"
#include "sched/linear_cost.h"
#include "sched/prefix_tree.h"
#include "sched/step_cost.h"
#include "sched/types.h"

namespace sutazai::sched {

/// Decides what each step computes. Continuous batching over shared prefixes:
///   1. every generating sequence gets its next token;
///   2. waiting requests are admitted while there is room, forking the longest chain of tokens that any slot has
///      computed, running or kept; a request whose prefix is being computed right now waits for it instead;
///   3. what is left of the step goes to prefill, limited by the measured cost of a token while somebody generates;
///   4. the chains of finished requests are kept, and given up least recently used first when cells or slots run out;
///      then the youngest request of the lowest priority is preempted: it goes back to the queue;
///   5. what is pushed out of the KV memory is copied to host memory while that has room, and comes back from there
///      when it is asked for and copying is quicker than computing it again, as measured;
///   6. where memory cannot be cut at any token, a prefill stops where another chain branches off and leaves a
///      checkpoint there, which is a kept chain (checkpoints.cpp).
///
/// A step is plan(), then its operations, then commit() or roll_back(), then append() or finish() for each chunk that
/// wanted logits. The requests of a step must not be cancelled or finished between its plan() and its commit(). One
/// thread.
class Scheduler {
  public:
    explicit Scheduler(const Limits& limits);
    ~Scheduler();

    struct NewRequest {
        RequestId id = 0;
        std::vector<Token> prompt;  ///< at least one token, at most context_per_sequence - 1
        int max_new_tokens = -1;    ///< > 0, or -1: until the context is full
        int priority = 0;           ///< lower runs first; a level is worth kAgeing of waiting
        std::uint64_t salt = 0;     ///< prefixes are shared only between requests of one salt (a tenant)
        /// More requests that are alike: they are forked from one another's prompt. Of all of them at most
        /// Limits::forks_at_once run or wait in the queue at a time; the next comes in when one has ended.
        std::vector<RequestId> forks = {};
    };
    enum class Admission : std::uint8_t { kAccepted, kQueueFull, kTooLong };
    [[nodiscard]] Admission submit(NewRequest request, Time now);

    /// The next step; one without chunks may still have operations. `preparing`: requests on their way to submit().
    /// When nothing runs, the step may be held for them, up to Limits::batch_timeout; a request that nobody follows is
    /// never held.
    [[nodiscard]] Step plan(Time now, int preparing = 0);
    /// The step was computed and took this long.
    void commit(const Step& step, Time took);
    /// The step was not computed (aborted or refused by the engine); its requests are as before it. The KV operations
    /// of the step were done; the next step's operations undo what a part of it may have left behind.
    void roll_back(const Step& step);

    /// A Load of `n_tokens` took this long.
    void restored(int n_tokens, Time took) { restore_cost_.observe(n_tokens, took); }
    /// A Load could not be done: its slot holds only what it held before it. The step that it belongs to must not be
    /// computed but rolled back, after this; later Loads of the same slot must not be tried.
    void restore_failed(const Load& load);
    /// A Save took so many bytes.
    void saved(BlockId block, std::uint64_t bytes);
    /// A Save could not be done.
    void save_failed(BlockId block);
    /// Copies what the KV memory holds of all chains, running or kept, to host memory, with the next step's operations.
    void save_all();
    /// The operations that wait for the next step, to be done at once instead.
    [[nodiscard]] std::vector<KvOp> take_operations();
    /// Takes a state from elsewhere into host memory: of the block that ends `chain`, whose earlier blocks must be
    /// there. kNoBlock when it is not wanted.
    [[nodiscard]] BlockId import(std::uint64_t salt, std::span<const Token> chain, std::uint64_t bytes);
    /// Tokens of a chain that need not be computed: in the KV memory or, when copying pays, in host memory.
    [[nodiscard]] int reusable(std::uint64_t salt, std::span<const Token> chain) const;
    /// A slot that has computed all of `chain`; kNoSlot when there is none.
    [[nodiscard]] SlotId holder(std::uint64_t salt, std::span<const Token> chain) const;

    /// The next token of a running request. False when that was its last: nothing more fits max_new_tokens or the
    /// context, and the request must be finished.
    [[nodiscard]] bool append(RequestId request, Token token);
    /// Ends a request and keeps its chain for others.
    void finish(RequestId request);
    /// Ends a request wherever it is; unknown ids are ignored.
    void cancel(RequestId request);

    /// Takes out the requests that waited for longer than Limits::queue_timeout without having begun.
    [[nodiscard]] std::vector<RequestId> expire(Time now);

    struct RequestView {
        int prompt_tokens;
        int generated_tokens;
        int cached_tokens;          ///< of the prompt, reused at its first admission
        std::optional<Time> begun;  ///< when it was first admitted
    };
    [[nodiscard]] RequestView view(RequestId request) const;
    [[nodiscard]] const std::vector<Token>& chain(RequestId request) const;  ///< prompt and what was generated
    [[nodiscard]] bool is_running(RequestId request) const;
    /// Is all of its chain computed, and does append() come next? A request may stay so for as many steps as it takes.
    [[nodiscard]] bool awaits_token(RequestId request) const;

    [[nodiscard]] int running() const { return static_cast<int>(running_.size()); }
    [[nodiscard]] int waiting() const { return static_cast<int>(waiting_.size() + forks_.size()); }
    [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }
    [[nodiscard]] int kept() const;
    [[nodiscard]] const CellLedger& cells() const { return cells_; }
    [[nodiscard]] const BlockCache& host() const { return host_; }
    [[nodiscard]] const StepCost& cost() const { return cost_; }
    [[nodiscard]] int width() const { return controller_.width(); }  ///< sequences decoded together, as of now
    [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }
    [[nodiscard]] std::uint64_t restored_tokens() const { return restored_tokens_; }  ///< from host memory, so far

    /// Waiting this long makes up for one level of priority.
    static constexpr Time kAgeing{1'000'000};
    /// Past this a request is not overtaken by others of its level that have more prefix in memory.
    static constexpr Time kOvertaking{500'000};

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    struct Request;
    struct Forks;
    struct Slot {
        Request* owner = nullptr;  ///< running; null: kept, or empty when not in_use
        bool in_use = false;
        int n_computed = 0;  ///< tokens of the chain that the KV memory holds
        std::uint64_t salt = 0;
        std::uint64_t last_use = 0;
        std::vector<Token> chain;  ///< of a kept slot, what it holds; a running one's is its owner's
    };
    /// What a waiting request could start from.
    struct Start {
        SlotId from = kNoSlot;
        int n_forked = 0;         ///< tokens that `from` has computed and the request shares
        int n_tokens = 0;         ///< with what host memory adds to them
        bool follows = false;     ///< somebody is computing more of its prefix: better to wait
        SlotId leader = kNoSlot;  ///< who is
        int n_shared = 0;         ///< tokens that it has in common with some chain, computed or not
    };

    void enqueue(RequestId id, const std::shared_ptr<Forks>& group, Time now);
    void enqueue_fork_of(const Request& other, Time now);
    void add_decodes(Step& step);
    void admit_waiting(Step& step, Time now);
    void add_prefills(Step& step);
    [[nodiscard]] int in_whole_groups(int n_tokens, int budget) const;
    void add_chunk(Step& step, Request& request, int n_tokens);

    [[nodiscard]] Start best_start(std::uint64_t salt, std::span<const Token> chain) const;
    [[nodiscard]] Request* choose(Time now, Start& start);
    [[nodiscard]] bool can_admit(const Request& request, const Start& start) const;
    void admit(Step& step, Request& request, const Start& start, Time now);

    // Checkpoints (checkpoints.cpp).
    [[nodiscard]] int usable(SlotId slot, int n_common) const;
    void want_checkpoint(Request& request, int n_tokens) const;
    [[nodiscard]] int next_stop(const Request& request) const;
    void leave_checkpoint(Step& step, Request& request);

    [[nodiscard]] SlotId free_slot() const;
    [[nodiscard]] SlotId least_recent_kept(SlotId except) const;
    [[nodiscard]] bool make_room(Step& step, int cells, const Request& keeper);
    [[nodiscard]] bool give_up_kept(int cells, std::vector<KvOp>& ops);
    void preempt(Step& step, Request& victim);
    void empty_slot(SlotId slot, std::vector<KvOp>& ops);
    [[nodiscard]] int n_certain(SlotId slot) const;
    void save(SlotId slot, std::vector<KvOp>& ops);
    [[nodiscard]] bool restore_pays(int n_tokens) const;
    void restore(Step& step, Request& request);
    [[nodiscard]] PrefixTree& tree(std::uint64_t salt);
    void keep_longest(SlotId slot);

    Limits limits_;
    std::unordered_map<std::uint64_t, std::unique_ptr<PrefixTree>> trees_;  ///< by salt
    BatchController controller_;
    CellLedger cells_;
    BlockCache host_;
    StepCost cost_;
    LinearCost restore_cost_;
    std::vector<Slot> slots_;
    std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
    std::vector<Request*> running_;                                ///< in order of admission
    std::list<Request*> waiting_;                                  ///< in order of arrival
    std::unordered_map<RequestId, std::shared_ptr<Forks>> forks_;  ///< by request that is not in the queue yet
    Time now_{0};                                                  ///< as of the last call that told
    std::vector<KvOp> pending_;                                    ///< for the next step
    std::vector<Load> loads_;  ///< of the step that was planned last: they may still fail
    std::uint64_t uses_ = 0;   ///< clock of last_use
    std::uint64_t preemptions_ = 0;
    std::uint64_t restored_tokens_ = 0;
};

}  // namespace sutazai::sched
