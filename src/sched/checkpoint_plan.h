#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sutazai::sched {

/// Where the prefill of one request leaves checkpoints: numbers of tokens, at which it stops for a copy of its state.
class CheckpointPlan {
  public:
    static constexpr std::size_t kMost = 8;  ///< each takes a slot

    /// One more, unless it is planned already or there are too many.
    void add(int n_tokens) {
        const auto place = std::ranges::lower_bound(stops_, n_tokens);
        const bool is_known = place != stops_.end() && *place == n_tokens;
        if (!is_known && stops_.size() < kMost) stops_.insert(place, n_tokens);
    }
    /// The first one behind `n_computed` tokens; `length` when there is none.
    [[nodiscard]] int next(int n_computed, int length) const {
        const auto stop = std::ranges::upper_bound(stops_, n_computed);
        return stop == stops_.end() ? length : *stop;
    }
    /// Is one planned just there? It is done with then.
    [[nodiscard]] bool take(int n_tokens) { return std::erase(stops_, n_tokens) > 0; }

  private:
    std::vector<int> stops_;  ///< ascending
};

}  // namespace sutazai::sched
