#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sched/types.h"

namespace sutazai::sched {

/// A prompt that is being computed.
struct Prefill {
    int priority = 0;
    Time arrival{0};
    int left = 0;  ///< tokens up to where it stops next
};

struct PrefillShare {
    std::size_t index;  ///< of the prefill
    int n_tokens;       ///< maybe more than are left
};

/// Divides `budget` tokens of a step among the prefills, at least one, and says in which order they are planned. The
/// oldest gets at least half, so that a long prompt always gets on; the rest goes to the shortest, so that nobody with
/// a short prompt waits for it.
[[nodiscard]] std::vector<PrefillShare> share_prefill(std::span<const Prefill> prefills, int budget);

/// As many tokens of prefill beside `n_tokens` others, about `budget`, as make the step's rows come in whole groups
/// (Limits::row_group).
[[nodiscard]] int in_whole_groups(int n_tokens, int budget, int group);

}  // namespace sutazai::sched
