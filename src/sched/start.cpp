#include "sched/start.h"

#include <algorithm>

namespace sutazai::sched {
namespace {

/// How many tokens of `slot` can be forked for a sequence that has its first `n_common` tokens in common with it.
int usable(const SlotTable& slots, SlotId slot, int n_common, int partial_removal_tokens) {
    const int n = slots.n_certain(slot);
    if (n > n_common && slots[slot].n_computed > partial_removal_tokens) return 0;
    return std::min(n, n_common);
}

}  // namespace

Start best_start(const SlotTable& slots, const HostTier& host, const Limits& limits, Time per_prefill_token,
                 std::uint64_t salt, std::span<const Token> tokens) {
    Start best;
    if (!limits.prefix_sharing) return best;
    int coming = 0;
    slots.walk(salt, tokens, [&](int n_common, std::span<const SlotId> holders) {
        for (const SlotId id : holders) {
            const int n = usable(slots, id, n_common, limits.partial_removal_tokens);
            if (n > best.n_forked) {
                best.from = id;
                best.n_forked = best.n_tokens = n;
            }
            best.n_shared = std::max(best.n_shared, n_common);
            if (slots[id].owner != nullptr && slots.n_certain(id) < n_common && n_common > coming) {
                coming = n_common;
                best.leader = id;
            }
        }
    });
    const int n_host = host.n_held(salt, tokens);
    if (host.pays(n_host - best.n_forked, per_prefill_token)) best.n_tokens = n_host;
    best.follows = coming >= best.n_tokens + kLeastFollowTokens;
    return best;
}

}  // namespace sutazai::sched
