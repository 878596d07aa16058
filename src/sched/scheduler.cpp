#include "sched/scheduler.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sched/demand.h"
#include "sched/prefill_shares.h"

namespace sutazai::sched {
namespace {

/// How many waiting requests are looked at for a start in one plan: bounds the cost of a long queue.
constexpr int kCandidates = 16;

}  // namespace

Scheduler::Scheduler(const Limits& limits)
    : limits_(limits),
      controller_(limits.batch_size, limits.batch_size_max),
      requests_(limits.forks_at_once),
      slots_(limits.slots),
      cells_(limits.kv_cells, limits.slots),
      host_(limits.prefix_sharing ? limits.host_bytes : 0, limits.host_bytes_per_token) {
    assert(limits.batch_size >= 1 && limits.batch_size <= limits.batch_size_max &&
           limits.batch_size_max <= limits.slots);
    assert(limits.context_per_sequence <= limits.kv_cells && limits.batch_tokens >= 1 && limits.forks_at_once >= 1);
}

Scheduler::Admission Scheduler::submit(NewRequest request, Time now) {
    assert(!request.prompt.empty());
    const int n_prompt = static_cast<int>(request.prompt.size());
    if (n_prompt >= limits_.context_per_sequence) return Admission::kTooLong;
    if (waiting() >= limits_.max_queue) return Admission::kQueueFull;
    const int room = limits_.context_per_sequence - n_prompt;
    ForkGroup group;
    group.prompt = std::make_shared<const std::vector<Token>>(std::move(request.prompt));
    group.priority = request.priority;
    group.salt = request.salt;
    group.n_max = n_prompt + (request.max_new_tokens < 0 ? room : std::min(room, request.max_new_tokens));
    group.left.assign(request.forks.begin(), request.forks.end());
    for (Request* added : requests_.add(request.id, std::move(group), now)) waiting_.push(*added);
    return Admission::kAccepted;
}

std::vector<RequestId> Scheduler::expire(Time now) {
    now_ = now;
    if (limits_.queue_timeout == Time(0)) return {};
    std::vector<RequestId> expired = waiting_.overdue(now, limits_.queue_timeout);
    for (const RequestId id : expired) cancel(id);
    return expired;
}

// --- the plan of a step

Step Scheduler::plan(Time now, int preparing) {
    now_ = now;
    Step step;
    if (preparing > 0 && running_.empty() && !waiting_.empty() && waiting() < controller_.batch_width() &&
        now - waiting_.oldest().arrival < limits_.batch_timeout) {
        step.held = true;
        return step;
    }
    step.ops = take_operations();
    add_decodes(step);
    admit_waiting(step, now);
    add_prefills(step);
    return step;
}

void Scheduler::add_chunk(Step& step, Request& request, int n_tokens) {
    const SlotId slot = request.slot;
    cells_.grow(slot, n_tokens);
    slots_.use(slot);
    leave_checkpoint(step, request);
    const int first = slots_[slot].n_computed;
    step.chunks.push_back({request.id, slot, first, n_tokens, first + n_tokens == request.length()});
    step.n_tokens += n_tokens;
}

/// Tokens of a running request that are not computed.
int Scheduler::left(const Request& request) const {
    return request.length() - slots_[request.slot].n_computed;
}

void Scheduler::add_decodes(Step& step) {
    // A copy, because making room may preempt some of them.
    const std::vector<Request*> order = running_;
    for (Request* request : order) {
        if (request->slot == kNoSlot || left(*request) != 1) continue;
        if (step.n_tokens == limits_.batch_tokens) break;
        if (!make_room(step, 1, *request)) continue;
        add_chunk(step, *request, 1);
        ++step.n_decode;
    }
}

void Scheduler::admit_waiting(Step& step, Time now) {
    while (running() < controller_.batch_width() && !waiting_.empty()) {
        Start start;
        Request* request = choose(now, start);
        if (request == nullptr || !can_admit(*request, start)) return;
        admit(step, *request, start, now);
    }
}

Start Scheduler::start_of(const Request& request) const {
    // The last token is always computed: its logits are what generation starts from.
    const auto wanted = std::span(request.tokens()).first(request.length() - 1);
    return best_start(slots_, host_, limits_, cost_.per_prefill_token(), request.salt, wanted);
}

/// Who is next: by priority and waiting time; within a level the one with the most of its prompt in memory, unless
/// somebody has been overtaken for too long. Requests that follow another's prefill are passed over.
Request* Scheduler::choose(Time now, Start& start) {
    Request* best = nullptr;
    int looked_at = 0;
    for (Request* request : waiting_.by_turn(now)) {
        if (++looked_at > kCandidates) break;
        if (best != nullptr && WaitingQueue::level(*request, now) != WaitingQueue::level(*best, now)) break;
        const Start its = start_of(*request);
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
    SlotId slot = slots_.unused();
    if (slot == kNoSlot) {
        slot = slots_.least_recent_kept(start.from);
        if (slot == kNoSlot) slot = start.from;  // nothing else is kept than what to start from: take it over
        save(slot, step.ops);
        if (slot != start.from) empty_slot(slot, step.ops);
    }
    if (slot == start.from) {
        cells_.trim(slot, start.n_forked);
        step.ops.emplace_back(Trim{slot, start.n_forked});
    } else if (start.n_forked > 0) {
        cells_.fork(start.from, slot, start.n_forked);
        step.ops.emplace_back(Fork{start.from, slot, start.n_forked});
        slots_.use(start.from);
    }
    request.own_tokens();
    request.slot = slot;
    slots_.run(slot, request, start.n_forked);
    waiting_.remove(request);
    running_.push_back(&request);
    if (start.n_tokens > start.n_forked) restore(step, request);
    want_checkpoint(request, start.n_shared);
    if (!request.begun) {
        request.begun = now;
        request.n_cached = slots_[slot].n_computed;
    }
}

/// Copies what host memory has of the request's prompt beyond what its slot holds. Looks again after each step, because
/// making room for a block may push others out.
void Scheduler::restore(Step& step, Request& request) {
    const SlotId slot = request.slot;
    const auto wanted = std::span<const Token>(request.tokens()).first(request.length() - 1);
    while (const auto load = host_.next_load(slot, request.salt, wanted, slots_[slot].n_computed)) {
        if (!give_up_kept(host().tokens(load->block), step.ops)) return;
        if (!host().contains(load->block)) continue;
        host_.touch(load->block);
        step.ops.emplace_back(*load);
        cells_.grow(slot, load->n_tokens);
        slots_.add_load(*load);
        restored_tokens_ += static_cast<std::uint64_t>(load->n_tokens);
    }
}

int Scheduler::prefill_budget(const Step& step) const {
    const int most = std::min(limits_.batch_tokens - step.n_tokens, limits_.prefill_tokens);
    if (step.n_decode == 0) return most;
    const int within_gap = cost_.prefill_tokens_within(limits_.token_gap);
    return std::min(most, in_whole_groups(step.n_tokens, within_gap, limits_.row_group));
}

void Scheduler::add_prefills(Step& step) {
    const auto left_to_stop = [&](const Request& request) {
        const int n_computed = slots_[request.slot].n_computed;
        return request.checkpoints.next(n_computed, request.length()) - n_computed;
    };
    std::vector<Request*> prefilling;
    std::vector<Prefill> prefills;
    for (Request* request : running_) {
        const bool decodes = left(*request) == 1 && cells_.length(request->slot) == request->length();
        if (left(*request) == 0 || decodes) continue;
        prefilling.push_back(request);
        prefills.push_back({request->priority, request->arrival, left_to_stop(*request)});
    }
    if (prefills.empty()) return;
    for (const auto& [index, n_tokens] : share_prefill(prefills, prefill_budget(step))) {
        Request& request = *prefilling[index];
        if (request.slot == kNoSlot) continue;  // preempted to make room for another
        const int share = std::min(n_tokens, left_to_stop(request));
        if (share > 0 && make_room(step, share, request)) add_chunk(step, request, share);
    }
}

// --- checkpoints: without partial removal another request can start only where a slot ends now. So a prefill stops
// where another branches off, or where somebody waits for it, and leaves a copy of its state there.

void Scheduler::want_checkpoint(Request& request, int n_tokens) const {
    if (request.length() <= limits_.partial_removal_tokens || n_tokens >= request.length()) return;
    if (n_tokens >= slots_[request.slot].n_computed + kLeastFollowTokens) request.checkpoints.add(n_tokens);
}

/// If the request has come to a stop: keeps what it has computed, unless there is no slot for it or it is kept already.
void Scheduler::leave_checkpoint(Step& step, Request& request) {
    const int n = slots_[request.slot].n_computed;
    if (!request.checkpoints.take(n)) return;
    const auto tokens = std::span<const Token>(request.tokens()).first(n);
    if (slots_.keeps(request.salt, tokens)) return;
    SlotId place = slots_.unused();
    if (place == kNoSlot) {
        place = slots_.least_recent_kept();
        if (place == kNoSlot) return;
        empty_slot(place, step.ops);
    }
    cells_.fork(request.slot, place, n);
    step.ops.emplace_back(Fork{request.slot, place, n});
    slots_.keep_copy(place, tokens, request.salt);
}

// --- room

/// Gives up what is kept, the least recently used first, until `cells` are free. False when there is no more.
bool Scheduler::give_up_kept(int cells, std::vector<KvOp>& ops) {
    while (cells_.free() < cells) {
        const SlotId kept = slots_.least_recent_kept();
        if (kept == kNoSlot) return false;
        save(kept, ops);
        empty_slot(kept, ops);
    }
    return true;
}

/// Frees cells until `cells` are free: what is kept first, then running requests younger or of lower priority than
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
    waiting_.put_back(victim);
    ++preemptions_;
}

void Scheduler::empty_slot(SlotId slot, std::vector<KvOp>& ops) {
    slots_.clear(slot);
    cells_.trim(slot, 0);
    ops.emplace_back(Trim{slot, 0});
}

/// Copies to host memory what it does not hold yet of what `slot` has computed, if that pays.
void Scheduler::save(SlotId slot, std::vector<KvOp>& ops) {
    const int n = slots_.n_certain(slot);
    if (host().budget() == 0 || !host_.pays(n, cost_.per_prefill_token())) return;
    host_.save(slot, slots_[slot].salt, slots_[slot].tokens().first(n), ops);
}

void Scheduler::save_all() {
    for (SlotId slot = 0; slot < slots_.size(); ++slot) {
        if (slots_[slot].in_use) save(slot, pending_);
    }
}

std::vector<KvOp> Scheduler::take_operations() {
    slots_.forget_loads();
    return std::exchange(pending_, {});
}

// --- what became of a step

void Scheduler::commit(const Step& step, Time took) {
    for (const Chunk& chunk : step.chunks) slots_.set_computed(chunk.slot, chunk.first + chunk.n_tokens);
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
        // Without partial removal the sequence begins again.
        const bool removable = chunk.first + chunk.n_tokens <= limits_.partial_removal_tokens;
        const int left = removable ? std::min(chunk.first, slots_[chunk.slot].n_computed) : 0;
        slots_.set_computed(chunk.slot, left);
        Request& request = *slots_[chunk.slot].owner;
        if (request.length() == request.n_prompt) request.n_cached = std::min(request.n_cached, left);
        cells_.trim(chunk.slot, left);
        pending_.emplace_back(Trim{chunk.slot, left});
    }
}

void Scheduler::restore_failed(const Load& load) {
    slots_.set_computed(load.slot, load.first);
    Request& request = *slots_[load.slot].owner;
    request.n_cached = std::min(request.n_cached, load.first);
    cells_.trim(load.slot, load.first);
    pending_.emplace_back(Trim{load.slot, load.first});
    save_failed(load.block);
}

// --- requests

bool Scheduler::append(RequestId id, Token token) {
    Request& request = requests_.at(id);
    assert(request.slot != kNoSlot && left(request) == 0);
    request.own.push_back(token);
    slots_.extend(request.slot, token);
    return request.length() < request.n_max;
}

void Scheduler::finish(RequestId id) {
    const std::unique_ptr<Request> request = requests_.take(id);
    assert(request->slot != kNoSlot);
    std::erase(running_, request.get());
    if (Request* fork = requests_.add_fork_of(*request, now_)) waiting_.push(*fork);
    if (!limits_.prefix_sharing || slots_[request->slot].n_computed == 0) {
        empty_slot(request->slot, pending_);
        return;
    }
    slots_.keep(request->slot, std::move(request->own));
    for (const SlotId slot : slots_.redundant_beside(request->slot, limits_.partial_removal_tokens)) {
        empty_slot(slot, pending_);
    }
}

void Scheduler::cancel(RequestId id) {
    if (requests_.drop_fork(id)) return;
    Request* request = requests_.find(id);
    if (request == nullptr) return;
    if (request->slot != kNoSlot) {
        finish(id);
        return;
    }
    waiting_.remove(*request);
    const std::unique_ptr<Request> gone = requests_.take(id);
    if (Request* fork = requests_.add_fork_of(*gone, now_)) waiting_.push(*fork);
}

Scheduler::RequestView Scheduler::view(RequestId id) const {
    const Request& r = requests_.at(id);
    return {r.n_prompt, r.length() - r.n_prompt, r.n_cached, r.begun};
}

bool Scheduler::is_running(RequestId id) const {
    const Request* request = requests_.find(id);
    return request != nullptr && request->slot != kNoSlot;
}

bool Scheduler::awaits_token(RequestId id) const {
    const Request& request = requests_.at(id);
    return request.slot != kNoSlot && left(request) == 0;
}

int Scheduler::reusable(std::uint64_t salt, std::span<const Token> tokens) const {
    return best_start(slots_, host_, limits_, cost_.per_prefill_token(), salt, tokens).n_tokens;
}

void Scheduler::check() const {
    requests_.check();
    waiting_.check();
    slots_.check();
    cells_.check();
    host().check();
    demand(requests_.size() == running_.size() + waiting_.size());
    demand(running() <= limits_.slots);
    for (const Request* r : running_) {
        demand(r->slot != kNoSlot && slots_[r->slot].owner == r && r->length() <= limits_.context_per_sequence);
    }
    for (SlotId slot = 0; slot < slots_.size(); ++slot) demand(cells_.length(slot) == slots_[slot].n_computed);
}

}  // namespace sutazai::sched
