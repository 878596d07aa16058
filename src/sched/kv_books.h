#pragma once

#include <cstdint>
#include <vector>

#include "sched/cell_ledger.h"
#include "sched/host_tier.h"
#include "sched/request.h"
#include "sched/slot_table.h"
#include "sched/start.h"
#include "sched/step_cost.h"
#include "sched/types.h"

namespace sutazai::sched {

/// What the KV memory and host memory hold, slot by slot, cell by cell, block by block, and the operations that make
/// them so: the books say what will be there once the operations have been done in order. Those of the step that is
/// being planned are appended to `ops`, others wait for the next step. One thread.
class KvBooks {
  public:
    /// `cost` outlives this: it says whether copying pays.
    KvBooks(const Limits& limits, const StepCost& cost);

    [[nodiscard]] const SlotTable& slots() const { return slots_; }
    [[nodiscard]] const CellLedger& cells() const { return cells_; }
    [[nodiscard]] const BlockCache& host() const { return host_.blocks(); }
    [[nodiscard]] Start best_start(std::uint64_t salt, std::span<const Token> tokens) const;

    // While a step is planned.

    /// The request gets a slot with what it starts from; what host memory has beyond that is loaded. There must be a
    /// slot that is not running.
    void admit(Request& request, const Start& start, std::vector<KvOp>& ops);
    /// The request, which runs, computes so many tokens more. There must be as many cells.
    void grow(Request& request, int n_tokens, std::vector<KvOp>& ops);
    /// Gives up what is kept, the least recently used first, until `cells` are free. False when there is no more.
    [[nodiscard]] bool give_up_kept(int cells, std::vector<KvOp>& ops);
    /// The request loses its slot; what was computed of it may go to host memory.
    void preempt(Request& request, std::vector<KvOp>& ops);

    // Between steps.

    void set_computed(SlotId slot, int n_tokens) { slots_.set_computed(slot, n_tokens); }
    /// The sequence of a running request has become longer.
    void extend(SlotId slot, Token token) { slots_.extend(slot, token); }
    /// Only the first tokens of a slot are what they should be.
    void cut_back(SlotId slot, int n_tokens);
    /// The request, which ran, has ended: what was computed of its tokens is kept if that is worth a slot.
    void keep(Request& request);
    /// Copies to host memory what the KV memory holds.
    void save_all();
    /// What became of a Load, and of a Save. A block that is of no use is dropped.
    void observe_load(int n_tokens, Time took) { host_.observe_load(n_tokens, took); }
    void saved(BlockId block, std::uint64_t bytes) { host_.saved(block, bytes, pending_); }
    void drop(BlockId block) { host_.remove(block, pending_); }
    [[nodiscard]] BlockId import(std::uint64_t salt, std::span<const Token> tokens, std::uint64_t bytes) {
        return host_.import(salt, tokens, bytes, pending_);
    }
    /// The operations that wait.
    [[nodiscard]] std::vector<KvOp> take_operations();

    [[nodiscard]] std::uint64_t restored_tokens() const { return restored_tokens_; }  ///< planned so far

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    void restore(Request& request, std::vector<KvOp>& ops);
    void leave_checkpoint(Request& request, std::vector<KvOp>& ops);
    void empty(SlotId slot, std::vector<KvOp>& ops);
    void save(SlotId slot, std::vector<KvOp>& ops);

    Limits limits_;
    const StepCost& cost_;
    SlotTable slots_;
    CellLedger cells_;
    HostTier host_;
    std::vector<KvOp> pending_;  ///< for the next step
    std::uint64_t restored_tokens_ = 0;
};

}  // namespace sutazai::sched
