// What the KV memory has no room for goes to host memory in blocks and comes back from there, when that is quicker than
// computing it again.
#include <algorithm>

#include "sched/scheduler_request.h"

namespace sutazai::sched {
namespace {

/// Fewer tokens than this are not worth a copy to host memory or from there.
constexpr int kLeastHostTokens = 32;

}  // namespace

/// Copies to host memory what it does not hold yet of what `slot` has computed.
void Scheduler::save(SlotId slot, std::vector<KvOp>& ops) {
    const auto& [owner, in_use, n_computed, salt, last_use, kept_chain] = slots_[slot];
    const int n = n_certain(slot);
    if (host_.budget() == 0 || !restore_pays(n)) return;
    const auto chain = std::span<const Token>(owner != nullptr ? owner->tokens : kept_chain).first(n);
    const int held = host_.covered(salt, chain);
    if (const auto pieces = host_.find(salt, chain.first(held)); !pieces.empty()) host_.touch(pieces.back().block);
    std::vector<BlockId> dropped;
    for (int first = held; first < n; first += kBlockTokens) {
        const int end = std::min(first + kBlockTokens, n);
        const auto bytes = static_cast<std::uint64_t>(end - first) * limits_.host_bytes_per_token;
        const BlockId block = host_.add(salt, chain.first(end), bytes, dropped);
        if (block == kNoBlock) break;
        ops.emplace_back(Save{slot, first, end - first, block});
    }
    for (const BlockId block : dropped) ops.emplace_back(Drop{block});
}

/// Is copying so many tokens from host memory worth it, and quicker than computing them?
bool Scheduler::restore_pays(int n_tokens) const {
    if (n_tokens < kLeastHostTokens) return false;
    const int whole = n_tokens / kBlockTokens;
    const auto took = whole * restore_cost_.of(kBlockTokens) + restore_cost_.of(n_tokens - whole * kBlockTokens);
    return took <= n_tokens * cost_.per_prefill_token();
}

/// Copies what host memory has of the request's prompt beyond what its slot holds. Looks again after each step, because
/// making room for a block may push others out.
void Scheduler::restore(Step& step, Request& request) {
    Slot& slot = slots_[request.slot];
    const std::span<const Token> wanted = std::span(request.tokens).first(request.length() - 1);
    while (true) {
        const auto pieces = host_.find(request.salt, wanted);
        const auto index = static_cast<std::size_t>(slot.n_computed / kBlockTokens);
        if (index >= pieces.size()) return;
        const auto [block, n_common] = pieces[index];
        const int n = static_cast<int>(index) * kBlockTokens + n_common - slot.n_computed;
        if (n <= 0 || !give_up_kept(host_.tokens(block), step.ops)) return;
        if (!host_.contains(block)) continue;
        host_.touch(block);
        step.ops.emplace_back(loads_.emplace_back(request.slot, slot.n_computed, n, block));
        cells_.grow(request.slot, n);
        slot.n_computed += n;
        restored_tokens_ += static_cast<std::uint64_t>(n);
    }
}

void Scheduler::restore_failed(const Load& load) {
    Slot& slot = slots_[load.slot];
    slot.n_computed = load.first;
    slot.owner->n_cached = std::min(slot.owner->n_cached, load.first);
    cells_.trim(load.slot, load.first);
    pending_.emplace_back(Trim{load.slot, load.first});
    save_failed(load.block);
}

void Scheduler::saved(BlockId block, std::uint64_t bytes) {
    if (!host_.contains(block)) return;  // dropped by a later operation of the same step
    std::vector<BlockId> dropped;
    host_.resize(block, bytes, dropped);
    for (const BlockId gone : dropped) pending_.emplace_back(Drop{gone});
}

void Scheduler::save_failed(BlockId block) {
    std::vector<BlockId> dropped;
    host_.remove(block, dropped);
    for (const BlockId gone : dropped) pending_.emplace_back(Drop{gone});
}

void Scheduler::save_all() {
    for (SlotId slot = 0; slot < limits_.slots; ++slot) {
        if (slots_[slot].in_use) save(slot, pending_);
    }
}

std::vector<KvOp> Scheduler::take_operations() {
    loads_.clear();
    return std::exchange(pending_, {});
}

BlockId Scheduler::import(std::uint64_t salt, std::span<const Token> chain, std::uint64_t bytes) {
    const std::size_t first = (chain.size() - 1) / kBlockTokens * kBlockTokens;
    const auto held = static_cast<std::size_t>(host_.covered(salt, chain));
    if (held < first || held == chain.size()) return kNoBlock;
    std::vector<BlockId> dropped;
    const BlockId block = host_.add(salt, chain, bytes, dropped);
    for (const BlockId gone : dropped) pending_.emplace_back(Drop{gone});
    return block;
}

int Scheduler::reusable(std::uint64_t salt, std::span<const Token> chain) const {
    return best_start(salt, chain).n_tokens;
}

SlotId Scheduler::holder(std::uint64_t salt, std::span<const Token> chain) const {
    SlotId holder = kNoSlot;
    const auto found = trees_.find(salt);
    if (found == trees_.end()) return holder;
    found->second->walk(chain, [&](int n_common, std::span<const SlotId> slots) {
        if (n_common < static_cast<int>(chain.size())) return;
        for (const SlotId id : slots) {
            if (n_certain(id) >= n_common) holder = id;
        }
    });
    return holder;
}

}  // namespace sutazai::sched
