// Sharing where memory cannot be cut at any token (Limits::cuttable_tokens): another chain can start only where a chain
// ends now. So a prefill makes a stop where another chain branches off, or where somebody waits for it, and leaves a
// copy of the state there: a kept chain like any other.
#include <algorithm>

#include "sched/scheduler_request.h"

namespace sutazai::sched {
namespace {

constexpr std::size_t kMostStops = 8;  // of one prefill: each takes a slot

}  // namespace

/// How many tokens of `slot` a chain can start from that has its first `n_common` tokens in common with it.
int Scheduler::usable(SlotId slot, int n_common) const {
    const int n = n_certain(slot);
    if (n > n_common && slots_[slot].n_computed > limits_.cuttable_tokens) return 0;
    return std::min(n, n_common);
}

void Scheduler::want_checkpoint(Request& request, int n_tokens) const {
    if (request.length() <= limits_.cuttable_tokens || n_tokens >= request.length()) return;
    if (n_tokens < slots_[request.slot].n_computed + kLeastFollowTokens) return;
    const auto place = std::ranges::lower_bound(request.stops, n_tokens);
    const bool known = place != request.stops.end() && *place == n_tokens;
    if (!known && request.stops.size() < kMostStops) request.stops.insert(place, n_tokens);
}

/// Up to where the request is computed next.
int Scheduler::next_stop(const Request& request) const {
    const auto stop = std::ranges::upper_bound(request.stops, slots_[request.slot].n_computed);
    return stop == request.stops.end() ? request.length() : *stop;
}

/// If the request has come to a stop: keeps what it has computed, unless there is no slot for it or it is kept already.
void Scheduler::leave_checkpoint(Step& step, Request& request) {
    const int n = slots_[request.slot].n_computed;
    const auto stop = std::ranges::find(request.stops, n);
    if (stop == request.stops.end()) return;
    request.stops.erase(stop);
    const auto chain = std::span<const Token>(request.tokens).first(n);
    bool kept = false;
    tree(request.salt).walk(chain, [&](int n_common, std::span<const SlotId> holders) {
        for (const SlotId id : holders) {
            kept |= n_common == n && slots_[id].owner == nullptr && slots_[id].n_computed == n;
        }
    });
    if (kept) return;
    SlotId place = free_slot();
    if (place == kNoSlot) {
        place = least_recent_kept(kNoSlot);
        if (place == kNoSlot) return;
        empty_slot(place, step.ops);
    }
    cells_.fork(request.slot, place, n);
    step.ops.emplace_back(Fork{request.slot, place, n});
    slots_[place] = {nullptr, true, n, request.salt, ++uses_, {chain.begin(), chain.end()}};
    tree(request.salt).insert(place, chain);
}

}  // namespace sutazai::sched
