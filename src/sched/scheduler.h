#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sched/batch_controller.h"
#include "sched/kv_books.h"
#include "sched/request_table.h"
#include "sched/step_cost.h"
#include "sched/types.h"
#include "sched/waiting_queue.h"

namespace sutazai::sched {

/// Decides what each step computes. Continuous batching over shared prefixes:
///   1. every generating sequence gets its next token;
///   2. waiting requests are admitted while there is room, forking the longest token sequence that any slot has
///      computed, running or kept; a request whose prefix is being computed right now waits for it instead;
///   3. what is left of the step goes to prefill, limited by the measured cost of a token while somebody generates;
///   4. what finished requests have computed is kept, and given up least recently used first when cells or slots
///      run out; then the youngest request of the lowest priority is preempted: it goes back to the queue;
///   5. what is pushed out of the KV memory is copied to host memory while that has room, and comes back from there
///      when it is asked for and copying is quicker than computing it again, as measured;
///   6. where the memory knows no partial removal, a prefill stops where another sequence branches off and leaves a
///      checkpoint there, which is a kept sequence like any other.
///
/// A step is plan(), then its operations, then commit() or roll_back(), then append() or finish() for each chunk that
/// wanted logits. The requests of a step must not be cancelled or finished between its plan() and its commit(). One
/// thread.
class Scheduler {
  public:
    explicit Scheduler(const Limits& limits);

    struct NewRequest {
        RequestId id = 0;
        std::vector<Token> prompt;  ///< at least one token, at most context_per_sequence - 1
        int max_new_tokens = -1;    ///< > 0, or -1: until the context is full
        int priority = 0;           ///< lower runs first; a level is worth WaitingQueue::kAgeing of waiting
        std::uint64_t salt = 0;     ///< prefixes are shared only between requests of one salt (a tenant)
        /// More requests that are alike: they are forked from one another's prompt. Of all of them at most
        /// Limits::forks_at_once run or wait in the queue at a time; the next comes in when one has ended.
        std::vector<RequestId> forks = {};
        std::vector<Apart> apart = {};  ///< of the prompt, by position; the last token is in none
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
    void restored(int n_tokens, Time took) { kv_.observe_load(n_tokens, took); }
    /// A Load could not be done: its slot holds only what it held before it. The step that it belongs to must not be
    /// computed but rolled back, after this; later Loads of the same slot must not be tried.
    void restore_failed(const Load& load);
    /// A Save took so many bytes.
    void saved(BlockId block, std::uint64_t bytes) { kv_.saved(block, bytes); }
    /// A Save could not be done.
    void save_failed(BlockId block) { kv_.drop(block); }
    /// Copies what the KV memory holds, running or kept, to host memory, with the next step's
    /// operations.
    void save_all() { kv_.save_all(); }
    /// The operations that wait for the next step, to be done at once instead.
    [[nodiscard]] std::vector<KvOp> take_operations() { return kv_.take_operations(); }
    /// Takes a state from elsewhere into host memory: of the block that ends `tokens`, whose earlier blocks must be
    /// there. kNoBlock when it is not wanted.
    [[nodiscard]] BlockId import(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes) {
        return kv_.import(salt, tokens, bytes);
    }
    /// How many of the first of `tokens` need not be computed: in the KV memory or, when copying pays, in host memory.
    [[nodiscard]] int reusable(std::uint64_t salt, std::span<const Token> tokens) const {
        return kv_.best_start(salt, tokens).n_tokens;
    }
    /// A slot that has computed all of `tokens`; kNoSlot when there is none.
    [[nodiscard]] SlotId holder(std::uint64_t salt, std::span<const Token> tokens) const {
        return kv_.slots().holder(salt, tokens);
    }

    /// The next token of a running request. False when that was its last: nothing more fits max_new_tokens or the
    /// context, and the request must be finished.
    [[nodiscard]] bool append(RequestId request, Token token);
    /// Ends a request and keeps what it has computed for others.
    void finish(RequestId request);
    /// Ends a request wherever it is; unknown ids are ignored.
    void cancel(RequestId request);

    /// Takes out the requests that waited for longer than Limits::queue_timeout without having begun.
    [[nodiscard]] std::vector<RequestId> expire(Time now);

    struct RequestView {
        int prompt_tokens;
        int generated_tokens;
        int cached_tokens;          ///< of the prompt, reused at its first admission
        int shared_tokens;          ///< of these, what a running request had computed
        int copied_tokens;          ///< and what was copied back from host memory
        std::optional<Time> begun;  ///< when it was first admitted
    };
    [[nodiscard]] RequestView view(RequestId request) const;
    /// Prompt and what was generated.
    [[nodiscard]] const std::vector<Token>& tokens(RequestId request) const { return requests_.at(request).tokens(); }
    [[nodiscard]] bool is_running(RequestId request) const;
    /// Are all of its tokens computed, and does append() come next? A request may stay so for as many steps as
    /// it takes.
    [[nodiscard]] bool awaits_token(RequestId request) const;

    [[nodiscard]] int running() const { return static_cast<int>(running_.size()); }
    [[nodiscard]] int waiting() const { return static_cast<int>(waiting_.size()) + requests_.forks_left(); }
    [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }
    [[nodiscard]] int kept() const { return kv_.slots().kept(); }
    [[nodiscard]] const CellLedger& cells() const { return kv_.cells(); }
    [[nodiscard]] const BlockCache& host() const { return kv_.host(); }
    [[nodiscard]] const StepCost& cost() const { return cost_; }
    /// Sequences decoded together at most, as of now.
    [[nodiscard]] int batch_width() const { return controller_.batch_width(); }
    [[nodiscard]] std::uint64_t preemptions() const { return preemptions_; }
    [[nodiscard]] std::uint64_t restored_tokens() const { return kv_.restored_tokens(); }  ///< from host memory, so far

    /// Past this a request is not overtaken by others of its level that have more prefix in memory.
    static constexpr Time kOvertaking{500'000};

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    void add_decodes(Step& step);
    void admit_waiting(Step& step, Time now);
    void add_prefills(Step& step);
    void add_chunk(Step& step, Request& request, int n_tokens);
    [[nodiscard]] int prefill_budget(const Step& step) const;

    [[nodiscard]] Start start_of(const Request& request) const;
    [[nodiscard]] Request* choose(Time now, Start& start);
    [[nodiscard]] bool can_admit(const Request& request, const Start& start) const;
    void admit(Step& step, Request& request, const Start& start, Time now);

    void want_checkpoint(Request& request, int n_tokens) const;

    [[nodiscard]] int left(const Request& request) const;
    [[nodiscard]] bool make_room(Step& step, int cells, const Request& keeper);
    void preempt(Step& step, Request& victim);

    Limits limits_;
    BatchController controller_;
    StepCost cost_;
    RequestTable requests_;
    WaitingQueue waiting_;
    std::vector<Request*> running_;  ///< in order of admission
    KvBooks kv_;
    Time now_{0};  ///< as of the last call that told
    std::uint64_t preemptions_ = 0;
};

}  // namespace sutazai::sched
