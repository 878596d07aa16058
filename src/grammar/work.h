#pragma once

#include <atomic>
#include <cstdint>

namespace sutazai::grammar {

/// How much may still be done. A unit is one look at a state of an automaton, some 10 to 50 ns, or what takes as long.
/// One thread at a time.
struct Work {
    std::int64_t left;
    const std::atomic<bool>* cancelled = nullptr;  ///< true ends the work at once; may be null

    /// Takes `units`. False when nothing is left, from then on always.
    bool take(std::int64_t units) {
        left -= units;
        if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) left = -1;
        return left >= 0;
    }
    [[nodiscard]] bool is_over() const { return left < 0; }
};

}  // namespace sutazai::grammar
