#pragma once

#include <span>
#include <vector>

#include "sched/types.h"

namespace sutazai::sched {

/// Counts KV cells exactly as unified KV memory uses them: one cell a token, shared by every sequence forked over
/// it, free when the last of them lets go. Cell numbers are the ledger's own. One thread.
class CellLedger {
  public:
    CellLedger(int cells, int slots);

    [[nodiscard]] int total() const { return static_cast<int>(references_.size()); }
    [[nodiscard]] int free() const { return static_cast<int>(free_.size()); }
    [[nodiscard]] int used() const { return total() - free(); }
    [[nodiscard]] int length(SlotId slot) const { return static_cast<int>(sequences_[slot].size()); }
    struct Part {
        SlotId slot;
        int n_tokens;
    };
    /// Cells that the first n_tokens of these slots hold together.
    [[nodiscard]] int held_by(std::span<const Part> parts) const;

    void grow(SlotId slot, int n_tokens);             ///< takes cells; there must be that many free
    void fork(SlotId from, SlotId to, int n_tokens);  ///< `to` must be empty, `from` at least that long
    void trim(SlotId slot, int n_tokens);             ///< keeps the first n_tokens

    /// Aborts the process when references and sequences disagree. For tests; O(cells).
    void check() const;

  private:
    std::vector<int> references_;  ///< [cells]
    std::vector<int> free_;
    std::vector<std::vector<int>> sequences_;  ///< [slots][tokens] cell of each token
};

}  // namespace sutazai::sched
