#include "sched/slot_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sched/demand.h"

namespace sutazai::sched {

SlotId SlotTable::unused() const {
    const auto found = std::ranges::find(slots_, false, &Slot::in_use);
    return found == slots_.end() ? kNoSlot : static_cast<SlotId>(found - slots_.begin());
}

SlotId SlotTable::least_recent_kept(SlotId except) const {
    SlotId best = kNoSlot;
    for (SlotId id = 0; id < size(); ++id) {
        const Slot& slot = (*this)[id];
        if (!slot.is_kept() || id == except) continue;
        if (best == kNoSlot || slot.last_use < (*this)[best].last_use) best = id;
    }
    return best;
}

int SlotTable::kept() const {
    return static_cast<int>(std::ranges::count_if(slots_, &Slot::is_kept));
}

void SlotTable::run(SlotId id, Request& owner, int n_computed) {
    if (at(id).in_use) remove_from_tree(id);
    at(id) = {.owner = &owner, .in_use = true, .n_computed = n_computed, .salt = owner.salt, .last_use = ++uses_};
    tree(owner.salt).insert(id, owner.tokens());
}

void SlotTable::keep_copy(SlotId id, std::span<const Token> tokens, std::uint64_t salt) {
    assert(!at(id).in_use);
    at(id) = {.in_use = true,
              .n_computed = static_cast<int>(tokens.size()),
              .salt = salt,
              .last_use = ++uses_,
              .kept = {tokens.begin(), tokens.end()}};
    tree(salt).insert(id, tokens);
}

void SlotTable::keep(SlotId id, std::vector<Token> tokens) {
    Slot& slot = at(id);
    slot.owner = nullptr;
    slot.last_use = ++uses_;
    slot.kept = std::move(tokens);
}

void SlotTable::clear(SlotId id) {
    remove_from_tree(id);
    at(id) = {};
}

void SlotTable::extend(SlotId id, Token token) {
    tree(at(id).salt).extend(id, {&token, 1});
}

void SlotTable::add_load(const Load& load) {
    loads_.push_back(load);
    at(load.slot).n_computed += load.n_tokens;
}

int SlotTable::n_certain(SlotId id) const {
    int n = (*this)[id].n_computed;
    for (const Load& load : loads_) {
        if (load.slot == id) n = std::min(n, load.first);
    }
    return n;
}

void SlotTable::walk(std::uint64_t salt, std::span<const Token> tokens,
                     const std::function<void(int n_common, std::span<const SlotId> slots)>& visit) const {
    if (const auto found = trees_.find(salt); found != trees_.end()) found->second->walk(tokens, visit);
}

SlotId SlotTable::holder(std::uint64_t salt, std::span<const Token> tokens) const {
    SlotId holder = kNoSlot;
    walk(salt, tokens, [&](int n_common, std::span<const SlotId> slots) {
        if (n_common < static_cast<int>(tokens.size())) return;
        for (const SlotId id : slots) {
            if (n_certain(id) >= n_common) holder = id;
        }
    });
    return holder;
}

bool SlotTable::keeps(std::uint64_t salt, std::span<const Token> tokens) const {
    const int n = static_cast<int>(tokens.size());
    bool keeps = false;
    walk(salt, tokens, [&](int n_common, std::span<const SlotId> slots) {
        for (const SlotId id : slots) {
            keeps |= n_common == n && (*this)[id].owner == nullptr && (*this)[id].n_computed == n;
        }
    });
    return keeps;
}

std::vector<SlotId> SlotTable::redundant_beside(SlotId slot, int partial_removal_tokens) const {
    const int n = (*this)[slot].n_computed;
    bool is_covered = false;
    std::vector<SlotId> shorter;
    walk((*this)[slot].salt, (*this)[slot].kept, [&](int n_common, std::span<const SlotId> holders) {
        for (const SlotId id : holders) {
            if (id == slot) continue;
            const Slot& other = (*this)[id];
            const bool reaches = other.n_computed == n || other.n_computed <= partial_removal_tokens;
            is_covered |= n_common >= n && other.n_computed >= n && reaches;
            if (n > partial_removal_tokens) continue;
            if (other.owner == nullptr && other.n_computed <= n_common && other.n_computed < n) shorter.push_back(id);
        }
    });
    if (is_covered) return {slot};
    std::ranges::sort(shorter);
    shorter.erase(std::ranges::unique(shorter).begin(), shorter.end());
    return shorter;
}

PrefixTree& SlotTable::tree(std::uint64_t salt) {
    std::unique_ptr<PrefixTree>& place = trees_[salt];
    if (place == nullptr) place = std::make_unique<PrefixTree>();
    return *place;
}

void SlotTable::remove_from_tree(SlotId id) {
    const auto found = trees_.find(at(id).salt);
    found->second->remove(id);
    if (found->second->empty()) trees_.erase(found);
}

void SlotTable::check() const {
    for (const auto& [salt, tree] : trees_) tree->check();
    for (SlotId id = 0; id < size(); ++id) {
        const Slot& slot = (*this)[id];
        demand(slot.in_use || slot.n_computed == 0);
        demand(slot.owner == nullptr || slot.owner->slot == id);
        demand(static_cast<int>(slot.tokens().size()) >= slot.n_computed);
        demand(slot.owner == nullptr || trees_.at(slot.salt)->length(id) == slot.owner->length());
    }
}

}  // namespace sutazai::sched
