#pragma once

#include <optional>
#include <vector>

#include "sched/scheduler.h"

/// Of the scheduler's own sources only.
namespace sutazai::sched {

/// A prefix that somebody else computes is worth waiting for, or worth a checkpoint, when it saves at least this many
/// tokens.
inline constexpr int kLeastFollowTokens = 32;

struct Scheduler::Request {
    RequestId id = 0;
    int priority = 0;
    std::uint64_t salt = 0;
    Time arrival{0};
    std::vector<Token> tokens;  ///< prompt, then what was generated
    int n_prompt = 0;
    int n_max = 0;  ///< length at which it ends
    int n_cached = 0;
    SlotId slot = kNoSlot;
    std::optional<Time> begun;
    std::vector<int> stops;  ///< where its prefill leaves a checkpoint, ascending

    [[nodiscard]] int length() const { return static_cast<int>(tokens.size()); }
};

}  // namespace sutazai::sched
