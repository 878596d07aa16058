#pragma once

#include <cstdint>
#include <span>

#include "sched/host_tier.h"
#include "sched/slot_table.h"
#include "sched/types.h"

namespace sutazai::sched {

/// A prefix that somebody else computes is worth waiting for, or worth a checkpoint, when it saves at least this many
/// tokens.
inline constexpr int kLeastFollowTokens = 32;

/// What a waiting request could start from.
struct Start {
    SlotId from = kNoSlot;
    int n_forked = 0;         ///< tokens that `from` has computed and the request shares
    int n_tokens = 0;         ///< with what host memory adds to them
    bool follows = false;     ///< somebody is computing more of its prefix: better to wait
    SlotId leader = kNoSlot;  ///< who is
    int n_shared = 0;         ///< tokens that it has in common with some slot, computed or not
};

/// The best start for `tokens`, in slots or host memory. Nothing without prefix sharing.
[[nodiscard]] Start best_start(const SlotTable& slots, const HostTier& host, const Limits& limits,
                               Time per_prefill_token, std::uint64_t salt, std::span<const Token> tokens);

}  // namespace sutazai::sched
