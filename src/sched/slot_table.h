#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "sched/prefix_tree.h"
#include "sched/request.h"
#include "sched/types.h"

namespace sutazai::sched {

/// The slots of the KV memory: who runs in them, what is kept in them, and which token sequences begin alike. Prefixes
/// are found only among slots of one salt (a tenant). Cells are the CellLedger's. One thread.
class SlotTable {
  public:
    struct Slot {
        Request* owner = nullptr;  ///< running; null: kept, or empty when not in_use
        bool in_use = false;
        int n_computed = 0;  ///< tokens of the sequence that the KV memory holds
        std::uint64_t salt = 0;
        std::uint64_t last_use = 0;
        std::vector<Token> kept;  ///< of a kept slot, the sequence; a running one's is its owner's

        [[nodiscard]] bool is_kept() const { return in_use && owner == nullptr; }
        [[nodiscard]] std::span<const Token> tokens() const { return owner != nullptr ? owner->tokens() : kept; }
    };

    explicit SlotTable(int slots) : slots_(static_cast<std::size_t>(slots)) {}

    [[nodiscard]] int size() const { return static_cast<int>(slots_.size()); }
    [[nodiscard]] const Slot& operator[](SlotId slot) const { return slots_[static_cast<std::size_t>(slot)]; }
    [[nodiscard]] SlotId unused() const;                                    ///< the first one; kNoSlot: all are in use
    [[nodiscard]] SlotId least_recent_kept(SlotId except = kNoSlot) const;  ///< kNoSlot: none is kept
    [[nodiscard]] int kept() const;

    /// An unused or kept slot, of which `n_computed` tokens stay, is the request's.
    void run(SlotId slot, Request& owner, int n_computed);
    /// An unused slot holds a copy of a running one's first tokens, to be kept.
    void keep_copy(SlotId slot, std::span<const Token> tokens, std::uint64_t salt);
    /// The owner has ended; what its slot has computed of `tokens`, which were its owner's, is kept.
    void keep(SlotId slot, std::vector<Token> tokens);
    void clear(SlotId slot);
    void use(SlotId slot) { at(slot).last_use = ++uses_; }
    void set_computed(SlotId slot, int n_tokens) { at(slot).n_computed = n_tokens; }
    /// The sequence of a running slot has become longer.
    void extend(SlotId slot, Token token);

    /// A Load that is planned may fail: until forget_loads() only what stood before it is certain.
    void add_load(const Load& load);
    void forget_loads() { loads_.clear(); }
    /// Tokens that the KV memory holds whether or not the planned Loads work out. Only those may be forked or saved.
    [[nodiscard]] int n_certain(SlotId slot) const;

    /// PrefixTree::walk() over the slots of one salt.
    void walk(std::uint64_t salt, std::span<const Token> tokens,
              const std::function<void(int n_common, std::span<const SlotId> slots)>& visit) const;
    /// A slot that has computed all of `tokens`; kNoSlot when there is none.
    [[nodiscard]] SlotId holder(std::uint64_t salt, std::span<const Token> tokens) const;
    /// Is just this kept already?
    [[nodiscard]] bool keeps(std::uint64_t salt, std::span<const Token> tokens) const;

    /// Of kept sequences one of which begins with the other only the longer is worth a slot, unless it is too long for
    /// partial removal (Limits::partial_removal_tokens): then another can start where the shorter ends. `slot` has just
    /// become kept: the slots, itself or others, that are worth nothing now.
    [[nodiscard]] std::vector<SlotId> redundant_beside(SlotId slot, int partial_removal_tokens) const;

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    [[nodiscard]] Slot& at(SlotId slot) { return slots_[static_cast<std::size_t>(slot)]; }
    [[nodiscard]] PrefixTree& tree(std::uint64_t salt);
    void remove_from_tree(SlotId slot);

    std::vector<Slot> slots_;
    std::unordered_map<std::uint64_t, std::unique_ptr<PrefixTree>> trees_;  ///< by salt
    std::vector<Load> loads_;                                               ///< that may still fail
    std::uint64_t uses_ = 0;                                                ///< clock of last_use
};

}  // namespace sutazai::sched
