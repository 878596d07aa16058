#include "sched/scheduler.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <utility>

#include "sched/scheduler_request.h"

namespace sutazai::sched {
namespace {

/// How many waiting requests are looked at for a start in one plan: bounds the cost of a long queue.
constexpr int kCandidates = 16;

}  // namespace

Scheduler::Scheduler(const Limits& limits)
    : limits_(limits),
      controller_(limits.batch_size, limits.batch_size_max),
      cells_(limits.kv_cells, limits.slots),
      host_(limits.prefix_sharing ? limits.host_bytes : 0),
      slots_(limits.slots) {
    assert(limits.batch_size >= 1 && limits.batch_size <= limits.batch_size_max &&
           limits.batch_size_max <= limits.slots);
    assert(limits.context_per_sequence <= limits.kv_cells && limits.batch_tokens >= 1 && limits.forks_at_once >= 1);
}

Scheduler::~Scheduler() = default;

Scheduler::Admission Scheduler::submit(NewRequest request, Time now) {
    assert(!request.prompt.empty() && !requests_.contains(request.id));
    const int n_prompt = static_cast<int>(request.prompt.size());
    if (n_prompt >= limits_.context_per_sequence) return Admission::kTooLong;
    if (waiting() >= limits_.max_queue) return Admission::kQueueFull;
    const int room = limits_.context_per_sequence - n_prompt;
    auto group = std::make_shared<Forks>();
    group->prompt = std::make_shared<const std::vector<Token>>(std::move(request.prompt));
    group->priority = request.priority;
    group->salt = request.salt;
    group->n_max = n_prompt + (request.max_new_tokens < 0 ? room : std::min(room, request.max_new_tokens));
    enqueue(request.id, group, now);
    for (const RequestId id : request.forks) {
        group->left.push_back(id);
        forks_.emplace(id, group);
    }
    for (int n = 1; n < limits_.forks_at_once && !group->left.empty(); ++n)
        enqueue_fork_of(*requests_.at(request.id), now);
    return Admission::kAccepted;
}

void Scheduler::enqueue(RequestId id, const std::shared_ptr<Forks>& group, Time now) {
    auto owned = std::make_unique<Request>();
    owned->id = id;
    owned->priority = group->priority;
    owned->salt = group->salt;
    owned->arrival = now;
    owned->prompt = group->prompt;
    owned->n_prompt = static_cast<int>(group->prompt->size());
    owned->n_max = group->n_max;
    owned->forks = group;
    waiting_.push_back(owned.get());
    requests_.emplace(id, std::move(owned));
}

/// The next of the same prompt, if one is left.
void Scheduler::enqueue_fork_of(const Request& other, Time now) {
    const std::shared_ptr<Forks> group = other.forks;
    if (group->left.empty()) return;
    const RequestId id = group->left.front();
    group->left.pop_front();
    forks_.erase(id);
    enqueue(id, group, now);
}

PrefixTree& Scheduler::tree(std::uint64_t salt) {
    std::unique_ptr<PrefixTree>& place = trees_[salt];
    if (place == nullptr) place = std::make_unique<PrefixTree>();
    return *place;
}

std::vector<RequestId> Scheduler::expire(Time now) {
    now_ = now;
    std::vector<RequestId> expired;
    if (limits_.queue_timeout == Time(0)) return expired;
    for (const Request* request : waiting_) {
        if (!request->begun && now - request->arrival > limits_.queue_timeout) expired.push_back(request->id);
    }
    for (const RequestId id : expired) cancel(id);
    return expired;
}

Step Scheduler::plan(Time now, int preparing) {
    now_ = now;
    Step step;
    if (preparing > 0 && running_.empty() && !waiting_.empty() && waiting() < controller_.width() &&
        now - waiting_.front()->arrival < limits_.batch_timeout) {
        step.held = true;
        return step;
    }
    step.ops = std::exchange(pending_, {});
    loads_.clear();
    add_decodes(step);
    admit_waiting(step, now);
    add_prefills(step);
    return step;
}

void Scheduler::add_chunk(Step& step, Request& request, int n_tokens) {
    Slot& slot = slots_[request.slot];
    cells_.grow(request.slot, n_tokens);
    slot.last_use = ++uses_;
    const bool last = slot.n_computed + n_tokens == request.length();
    if (!request.stops.empty()) leave_checkpoint(step, request);
    step.chunks.push_back({request.id, request.slot, slot.n_computed, n_tokens, last});
    step.n_tokens += n_tokens;
}

void Scheduler::add_decodes(Step& step) {
    // A copy, because making room may preempt some of them.
    const std::vector<Request*> order = running_;
    for (Request* request : order) {
        if (request->slot == kNoSlot) continue;
        if (request->length() - slots_[request->slot].n_computed != 1) continue;
        if (step.n_tokens == limits_.batch_tokens) break;
        if (!make_room(step, 1, *request)) continue;
        add_chunk(step, *request, 1);
        ++step.n_decode;
    }
}

void Scheduler::admit_waiting(Step& step, Time now) {
    while (running() < controller_.width() && !waiting_.empty()) {
        Start start;
        Request* request = choose(now, start);
        if (request == nullptr || !can_admit(*request, start)) return;
        admit(step, *request, start, now);
    }
}

/// Who is next: by priority and waiting time; within a level the one with the most of its prompt in memory, unless
/// somebody has been overtaken for too long. Requests that follow another's prefill are passed over.
Scheduler::Request* Scheduler::choose(Time now, Start& start) {
    const auto level = [&](const Request* r) { return r->priority - static_cast<int>((now - r->arrival) / kAgeing); };
    std::vector<Request*> order(waiting_.begin(), waiting_.end());
    std::ranges::stable_sort(order, {}, level);
    Request* best = nullptr;
    int looked_at = 0;
    for (Request* request : order) {
        if (++looked_at > kCandidates) break;
        if (best != nullptr && level(request) != level(best)) break;
        // The last token is always computed: its logits are what generation starts from.
        const Start its = best_start(request->salt, std::span(request->chain()).first(request->length() - 1));
        if (its.follows) {
            want_checkpoint(*slots_[its.leader].owner, its.n_shared);
            continue;
        }
        if (best == nullptr || its.n_tokens > start.n_tokens) {
            best = request;
            start = its;
        }
        if (now - request->arrival > kOvertaking) break;
    }
    return best;
}

Scheduler::Start Scheduler::best_start(std::uint64_t salt, std::span<const Token> chain) const {
    Start best;
    if (!limits_.prefix_sharing) return best;
    int coming = 0;
    const auto look = [&](int n_common, std::span<const SlotId> holders) {
        for (const SlotId id : holders) {
            const int n = usable(id, n_common);
            if (n > best.n_forked) {
                best.from = id;
                best.n_forked = best.n_tokens = n;
            }
            best.n_shared = std::max(best.n_shared, n_common);
            if (slots_[id].owner != nullptr && n_certain(id) < n_common && n_common > coming) {
                coming = n_common;
                best.leader = id;
            }
        }
    };
    if (const auto found = trees_.find(salt); found != trees_.end()) found->second->walk(chain, look);
    if (host_.count() > 0) {
        int n_host = 0;
        for (const auto& piece : host_.find(salt, chain)) n_host += piece.n_tokens;
        if (restore_pays(n_host - best.n_forked)) best.n_tokens = n_host;
    }
    best.follows = coming >= best.n_tokens + kLeastFollowTokens;
    return best;
}

bool Scheduler::can_admit(const Request& request, const Start& start) const {
    // What running requests have and still need, with a cell each for their next token, stays theirs.
    const int wanted = request.length() - start.n_forked + 1;
    int owed = 0;
    std::vector<CellLedger::Part> needed;
    for (const Request* r : running_) {
        needed.push_back({r->slot, cells_.length(r->slot)});
        owed += r->length() - cells_.length(r->slot) + 1;
    }
    if (cells_.free() >= wanted + owed) return true;
    if (start.from != kNoSlot) needed.push_back({start.from, start.n_forked});
    return cells_.total() - cells_.held_by(needed) >= wanted + owed;
}

void Scheduler::admit(Step& step, Request& request, const Start& start, Time now) {
    SlotId slot = free_slot();
    if (slot == kNoSlot) {
        slot = least_recent_kept(start.from);
        if (slot == kNoSlot) slot = start.from;  // the only kept chain is the one to start from: take it over
        save(slot, step.ops);
        if (slot != start.from) empty_slot(slot, step.ops);
    }
    if (slot == start.from) {
        tree(slots_[slot].salt).remove(slot);
        cells_.trim(slot, start.n_forked);
        step.ops.emplace_back(Trim{slot, start.n_forked});
    } else if (start.n_forked > 0) {
        cells_.fork(start.from, slot, start.n_forked);
        step.ops.emplace_back(Fork{start.from, slot, start.n_forked});
        slots_[start.from].last_use = ++uses_;
    }
    if (request.prompt != nullptr) {
        request.tokens = *request.prompt;
        request.prompt.reset();
    }
    slots_[slot] = {&request, true, start.n_forked, request.salt, ++uses_, {}};
    tree(request.salt).insert(slot, request.tokens);
    request.slot = slot;
    waiting_.remove(&request);
    running_.push_back(&request);
    if (start.n_tokens > start.n_forked) restore(step, request);
    want_checkpoint(request, start.n_shared);
    if (!request.begun) {
        request.begun = now;
        request.n_cached = slots_[slot].n_computed;
    }
}

/// As many tokens of prefill beside `n_tokens` others, about `budget`, as make the step's rows come in whole groups.
int Scheduler::in_whole_groups(int n_tokens, int budget) const {
    const int group = limits_.row_group;
    const int rows = (n_tokens + budget + group / 2) / group * group;
    return rows > n_tokens ? rows - n_tokens : rows + group - n_tokens;
}

void Scheduler::add_prefills(Step& step) {
    std::vector<Request*> prefilling;
    for (Request* request : running_) {
        const int left = request->length() - slots_[request->slot].n_computed;
        const bool decodes = left == 1 && cells_.length(request->slot) == request->length();
        if (left > 0 && !decodes) prefilling.push_back(request);
    }
    if (prefilling.empty()) return;
    int budget = std::min(limits_.batch_tokens - step.n_tokens, limits_.prefill_tokens);
    if (step.n_decode > 0)
        budget = std::min(budget, in_whole_groups(step.n_tokens, cost_.prefill_tokens_within(limits_.token_gap)));

    // The oldest gets at least half of the budget, so that a long prompt always gets on; the rest goes to the shortest,
    // so that nobody with a short prompt waits for it.
    const auto left = [&](const Request* r) { return next_stop(*r) - slots_[r->slot].n_computed; };
    std::ranges::stable_sort(prefilling, {}, [](const Request* r) { return std::pair(r->priority, r->arrival); });
    Request* oldest = prefilling.front();
    int for_oldest = prefilling.size() > 1 ? std::min(left(oldest), (budget + 1) / 2) : budget;
    budget -= for_oldest;
    std::stable_sort(prefilling.begin() + 1, prefilling.end(),
                     [&](const Request* a, const Request* b) { return left(a) < left(b); });
    std::vector<std::pair<Request*, int>> shares;
    for (Request* request : prefilling) {
        if (request == oldest) continue;
        const int share = std::min(budget, left(request));
        budget -= share;
        shares.emplace_back(request, share);
    }
    shares.emplace(shares.begin(), oldest, for_oldest + budget);
    for (auto [request, share] : shares) {
        if (request->slot == kNoSlot) continue;  // preempted to make room for another
        share = std::min(share, left(request));
        if (share > 0 && make_room(step, share, *request)) add_chunk(step, *request, share);
    }
}

SlotId Scheduler::free_slot() const {
    for (SlotId id = 0; id < limits_.slots; ++id) {
        if (!slots_[id].in_use) return id;
    }
    return kNoSlot;
}

SlotId Scheduler::least_recent_kept(SlotId except) const {
    SlotId best = kNoSlot;
    for (SlotId id = 0; id < limits_.slots; ++id) {
        const Slot& slot = slots_[id];
        if (!slot.in_use || slot.owner != nullptr || id == except) continue;
        if (best == kNoSlot || slot.last_use < slots_[best].last_use) best = id;
    }
    return best;
}

/// Gives up kept chains, the least recently used first, until `cells` are free. False when there are no more.
bool Scheduler::give_up_kept(int cells, std::vector<KvOp>& ops) {
    while (cells_.free() < cells) {
        const SlotId kept = least_recent_kept(kNoSlot);
        if (kept == kNoSlot) return false;
        save(kept, ops);
        empty_slot(kept, ops);
    }
    return true;
}

/// Frees cells until `cells` are free: kept chains first, then running requests younger or of lower priority than
/// `keeper`. False when `keeper` itself had to go.
bool Scheduler::make_room(Step& step, int cells, const Request& keeper) {
    while (!give_up_kept(cells, step.ops)) {
        Request* victim = nullptr;
        for (Request* r : running_) {
            const bool planned = std::ranges::any_of(step.chunks, [&](const Chunk& c) { return c.request == r->id; });
            if (planned) continue;
            if (victim == nullptr ||
                std::pair(r->priority, r->arrival) >= std::pair(victim->priority, victim->arrival)) {
                victim = r;
            }
        }
        assert(victim != nullptr);  // the keeper is not planned yet
        preempt(step, *victim);
        if (victim == &keeper) return false;
    }
    return true;
}

void Scheduler::preempt(Step& step, Request& victim) {
    save(victim.slot, step.ops);
    empty_slot(victim.slot, step.ops);
    victim.slot = kNoSlot;
    std::erase(running_, &victim);
    const auto place = std::ranges::find_if(waiting_, [&](const Request* r) { return r->arrival > victim.arrival; });
    waiting_.insert(place, &victim);
    ++preemptions_;
}

void Scheduler::empty_slot(SlotId slot, std::vector<KvOp>& ops) {
    const auto found = trees_.find(slots_[slot].salt);
    found->second->remove(slot);
    if (found->second->empty()) trees_.erase(found);
    cells_.trim(slot, 0);
    slots_[slot] = {};
    ops.emplace_back(Trim{slot, 0});
}

/// Tokens of `slot` that the KV memory holds whether or not the operations of the step being planned work out. Only
/// those may be forked or saved.
int Scheduler::n_certain(SlotId slot) const {
    int n = slots_[slot].n_computed;
    for (const Load& load : loads_) {
        if (load.slot == slot) n = std::min(n, load.first);
    }
    return n;
}

void Scheduler::commit(const Step& step, Time took) {
    for (const Chunk& chunk : step.chunks) slots_[chunk.slot].n_computed = chunk.first + chunk.n_tokens;
    const int n_prefill = step.n_tokens - step.n_decode;
    cost_.observe(step.n_decode, n_prefill, took);
    // Under load nearly every step prefills a newcomer; what that cost is taken off.
    if (n_prefill < limits_.prefill_tokens / 4) {
        const Time decoding = std::max(took / 4, took - n_prefill * cost_.per_prefill_token());
        controller_.observe(step.n_decode, decoding, !waiting_.empty());
    }
}

void Scheduler::roll_back(const Step& step) {
    for (const Chunk& chunk : step.chunks) {
        Slot& slot = slots_[chunk.slot];
        // Memory that cannot be cut begins again.
        const bool cuttable = chunk.first + chunk.n_tokens <= limits_.cuttable_tokens;
        const int left = cuttable ? std::min(chunk.first, slot.n_computed) : 0;
        slot.n_computed = left;
        if (slot.owner->length() == slot.owner->n_prompt) slot.owner->n_cached = std::min(slot.owner->n_cached, left);
        cells_.trim(chunk.slot, left);
        pending_.emplace_back(Trim{chunk.slot, left});
    }
}

bool Scheduler::append(RequestId id, Token token) {
    Request& request = *requests_.at(id);
    assert(request.slot != kNoSlot && request.length() == slots_[request.slot].n_computed);
    request.tokens.push_back(token);
    tree(request.salt).extend(request.slot, {&token, 1});
    return request.length() < request.n_max;
}

void Scheduler::finish(RequestId id) {
    const auto found = requests_.find(id);
    assert(found != requests_.end() && found->second->slot != kNoSlot);
    const std::unique_ptr<Request> request = std::move(found->second);
    requests_.erase(found);
    std::erase(running_, request.get());
    enqueue_fork_of(*request, now_);
    Slot& slot = slots_[request->slot];
    slot.owner = nullptr;
    slot.last_use = ++uses_;
    if (limits_.prefix_sharing && slot.n_computed > 0) {
        slot.chain = std::move(request->tokens);
        keep_longest(request->slot);
    } else {
        empty_slot(request->slot, pending_);
    }
}

/// Of kept chains one of which begins with the other, only the longer is worth a slot, unless it cannot be cut. `slot`
/// has just become kept.
void Scheduler::keep_longest(SlotId slot) {
    const int n = slots_[slot].n_computed;
    bool covered = false;
    std::vector<SlotId> shorter;
    tree(slots_[slot].salt).walk(slots_[slot].chain, [&](int n_common, std::span<const SlotId> holders) {
        for (const SlotId id : holders) {
            if (id == slot) continue;
            const Slot& other = slots_[id];
            const bool reaches = other.n_computed == n || other.n_computed <= limits_.cuttable_tokens;
            covered |= n_common >= n && other.n_computed >= n && reaches;
            if (n > limits_.cuttable_tokens) continue;
            if (other.owner == nullptr && other.n_computed <= n_common && other.n_computed < n) shorter.push_back(id);
        }
    });
    if (covered) {
        empty_slot(slot, pending_);
        return;
    }
    std::ranges::sort(shorter);
    shorter.erase(std::ranges::unique(shorter).begin(), shorter.end());
    for (const SlotId id : shorter) empty_slot(id, pending_);
}

void Scheduler::cancel(RequestId id) {
    if (const auto later = forks_.find(id); later != forks_.end()) {
        std::erase(later->second->left, id);
        forks_.erase(later);
        return;
    }
    const auto found = requests_.find(id);
    if (found == requests_.end()) return;
    if (found->second->slot != kNoSlot) {
        finish(id);
        return;
    }
    waiting_.remove(found->second.get());
    const std::unique_ptr<Request> request = std::move(found->second);
    requests_.erase(found);
    enqueue_fork_of(*request, now_);
}

Scheduler::RequestView Scheduler::view(RequestId id) const {
    const Request& r = *requests_.at(id);
    return {r.n_prompt, r.length() - r.n_prompt, r.n_cached, r.begun};
}

const std::vector<Token>& Scheduler::chain(RequestId id) const {
    return requests_.at(id)->chain();
}

bool Scheduler::is_running(RequestId id) const {
    const auto found = requests_.find(id);
    return found != requests_.end() && found->second->slot != kNoSlot;
}

bool Scheduler::awaits_token(RequestId id) const {
    const Request& request = *requests_.at(id);
    return request.slot != kNoSlot && request.length() == slots_[request.slot].n_computed;
}

int Scheduler::kept() const {
    return static_cast<int>(
        std::ranges::count_if(slots_, [](const Slot& s) { return s.in_use && s.owner == nullptr; }));
}

void Scheduler::check() const {
    const auto demand = [](bool holds) {
        if (!holds) std::abort();
    };
    for (const auto& [salt, tree] : trees_) tree->check();
    cells_.check();
    host_.check();
    demand(requests_.size() == running_.size() + waiting_.size());
    demand(running() <= limits_.slots);
    for (const Request* r : running_) {
        demand(r->slot != kNoSlot && slots_[r->slot].owner == r);
        demand(slots_[r->slot].n_computed <= r->length() && trees_.at(r->salt)->length(r->slot) == r->length());
        demand(r->length() <= limits_.context_per_sequence);
    }
    for (const Request* r : waiting_) demand(r->slot == kNoSlot);
    for (const auto& [id, r] : requests_) {
        demand((r->prompt == nullptr) != r->tokens.empty() && r->length() >= r->n_prompt);
        demand(r->prompt == nullptr || r->slot == kNoSlot);
        const auto here = std::ranges::count_if(requests_, [&](const auto& o) { return o.second->forks == r->forks; });
        demand(here <= limits_.forks_at_once && (here == limits_.forks_at_once || r->forks->left.empty()));
    }
    for (const auto& [id, group] : forks_) {
        demand(!requests_.contains(id) && std::ranges::count(group->left, id) == 1);
        demand(std::ranges::any_of(requests_, [&](const auto& r) { return r.second->forks == group; }));
    }
    for (SlotId id = 0; id < limits_.slots; ++id) {
        demand(cells_.length(id) == slots_[id].n_computed);
        demand(slots_[id].in_use || slots_[id].n_computed == 0);
        demand(slots_[id].owner == nullptr || slots_[id].owner->slot == id);
        const bool kept = slots_[id].in_use && slots_[id].owner == nullptr;
        demand(!kept || static_cast<int>(slots_[id].chain.size()) >= slots_[id].n_computed);
    }
}

}  // namespace sutazai::sched
