#include "sched/kv_books.h"

#include <algorithm>
#include <utility>

#include "sched/demand.h"

namespace sutazai::sched {

KvBooks::KvBooks(const Limits& limits, const StepCost& cost)
    : limits_(limits),
      cost_(cost),
      slots_(limits.slots),
      cells_(limits.kv_cells, limits.slots),
      host_(limits.prefix_sharing ? limits.host_bytes : 0, limits.host_bytes_per_token) {}

Start KvBooks::best_start(std::uint64_t salt, std::span<const Token> tokens) const {
    return sched::best_start(slots_, host_, limits_, cost_.per_prefill_token(), salt, tokens);
}

void KvBooks::admit(Request& request, const Start& start, std::vector<KvOp>& ops) {
    SlotId slot = slots_.unused();
    if (slot == kNoSlot) {
        slot = slots_.least_recent_kept(start.from);
        if (slot == kNoSlot) slot = start.from;  // nothing else is kept than what to start from: take it over
        save(slot, ops);
        if (slot != start.from) empty(slot, ops);
    }
    if (slot == start.from) {
        cells_.trim(slot, start.n_forked);
        ops.emplace_back(Trim{slot, start.n_forked});
    } else if (start.n_forked > 0) {
        cells_.fork(start.from, slot, start.n_forked);
        ops.emplace_back(Fork{start.from, slot, start.n_forked});
        slots_.use(start.from);
    }
    request.own_tokens();
    request.slot = slot;
    slots_.run(slot, request, start.n_forked);
    if (start.n_tokens > start.n_forked) restore(request, ops);
}

/// Copies what host memory has of the request's prompt beyond what its slot holds. Looks again after each step, because
/// making room for a block may push others out.
void KvBooks::restore(Request& request, std::vector<KvOp>& ops) {
    const SlotId slot = request.slot;
    const auto wanted = std::span<const Token>(request.tokens()).first(request.length() - 1);
    while (const auto load = host_.next_load(slot, request.salt, wanted, slots_[slot].n_computed)) {
        if (!give_up_kept(host().tokens(load->block), ops)) return;
        if (!host().contains(load->block)) continue;
        host_.touch(load->block);
        ops.emplace_back(*load);
        cells_.grow(slot, load->n_tokens);
        slots_.add_load(*load);
        restored_tokens_ += static_cast<std::uint64_t>(load->n_tokens);
    }
}

void KvBooks::grow(Request& request, int n_tokens, std::vector<KvOp>& ops) {
    cells_.grow(request.slot, n_tokens);
    slots_.use(request.slot);
    leave_checkpoint(request, ops);
}

/// If the request has come to a stop: keeps what it has computed, unless there is no slot for it or it is kept already.
void KvBooks::leave_checkpoint(Request& request, std::vector<KvOp>& ops) {
    const int n = slots_[request.slot].n_computed;
    if (!request.checkpoints.take(n)) return;
    const auto tokens = std::span<const Token>(request.tokens()).first(n);
    if (slots_.keeps(request.salt, tokens)) return;
    SlotId place = slots_.unused();
    if (place == kNoSlot) {
        place = slots_.least_recent_kept();
        if (place == kNoSlot) return;
        empty(place, ops);
    }
    cells_.fork(request.slot, place, n);
    ops.emplace_back(Fork{request.slot, place, n});
    slots_.keep_copy(place, tokens, request.salt);
}

bool KvBooks::give_up_kept(int cells, std::vector<KvOp>& ops) {
    while (cells_.free() < cells) {
        const SlotId kept = slots_.least_recent_kept();
        if (kept == kNoSlot) return false;
        save(kept, ops);
        empty(kept, ops);
    }
    return true;
}

void KvBooks::preempt(Request& request, std::vector<KvOp>& ops) {
    save(request.slot, ops);
    empty(request.slot, ops);
    request.slot = kNoSlot;
}

void KvBooks::cut_back(SlotId slot, int n_tokens) {
    slots_.set_computed(slot, n_tokens);
    cells_.trim(slot, n_tokens);
    pending_.emplace_back(Trim{slot, n_tokens});
}

void KvBooks::keep(Request& request) {
    if (!limits_.prefix_sharing || slots_[request.slot].n_computed == 0) {
        empty(request.slot, pending_);
        return;
    }
    slots_.keep(request.slot, std::move(request.own));
    for (const SlotId slot : slots_.redundant_beside(request.slot, limits_.partial_removal_tokens)) {
        empty(slot, pending_);
    }
}

void KvBooks::empty(SlotId slot, std::vector<KvOp>& ops) {
    slots_.clear(slot);
    cells_.trim(slot, 0);
    ops.emplace_back(Trim{slot, 0});
}

/// Copies to host memory what it does not hold yet of what `slot` has computed, if that pays.
void KvBooks::save(SlotId slot, std::vector<KvOp>& ops) {
    const int n = slots_.n_certain(slot);
    if (host().budget() == 0 || !host_.pays(n, cost_.per_prefill_token())) return;
    host_.save(slot, slots_[slot].salt, slots_[slot].tokens().first(n), ops);
}

void KvBooks::save_all() {
    for (SlotId slot = 0; slot < slots_.size(); ++slot) {
        if (slots_[slot].in_use) save(slot, pending_);
    }
}

std::vector<KvOp> KvBooks::take_operations() {
    slots_.forget_loads();
    return std::exchange(pending_, {});
}

void KvBooks::check() const {
    slots_.check();
    cells_.check();
    host().check();
    for (SlotId slot = 0; slot < slots_.size(); ++slot) demand(cells_.length(slot) == slots_[slot].n_computed);
}

}  // namespace sutazai::sched
