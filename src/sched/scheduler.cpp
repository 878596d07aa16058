#include "sched/scheduler.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sched/demand.h"
#include "sched/prefill_shares.h"

namespace sutazai::sched {
namespace {

/// Where a chunk of the prompt that begins at `at` must end, and whether it must go that far.
std::pair<int, bool> end_of_chunk(const Request& request, int at) {
    for (const Apart& apart : *request.apart) {
        if (at < apart.first) return {apart.first, false};
        if (at < apart.first + apart.n_tokens) return {apart.first + apart.n_tokens, apart.whole};
    }
    return {request.length(), false};
}

/// How many waiting requests are looked at for a start in one plan: bounds the cost of a long queue.
constexpr int kCandidates = 16;

}  // namespace

Scheduler::Scheduler(const Limits& limits)
    : limits_(limits),
      controller_(limits.batch_size, limits.batch_size_max),
      requests_(limits.forks_at_once),
      kv_(limits, cost_) {
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
    assert(request.apart.empty() || request.apart.back().first + request.apart.back().n_tokens < n_prompt);
    group.apart = std::make_shared<const std::vector<Apart>>(std::move(request.apart));
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
    step.ops = kv_.take_operations();
    add_decodes(step);
    admit_waiting(step, now);
    add_prefills(step);
    return step;
}

void Scheduler::add_chunk(Step& step, Request& request, int n_tokens) {
    kv_.grow(request, n_tokens, step.ops);
    const int first = kv_.slots()[request.slot].n_computed;
    step.chunks.push_back({request.id, request.slot, first, n_tokens, first + n_tokens == request.length()});
    step.n_tokens += n_tokens;
}

/// Tokens of a running request that are not computed.
int Scheduler::left(const Request& request) const {
    return request.length() - kv_.slots()[request.slot].n_computed;
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
    return kv_.best_start(request.salt, wanted);
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
            want_checkpoint(*kv_.slots()[its.leader].owner, its.n_shared);
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
        needed.push_back({r->slot, kv_.cells().length(r->slot)});
        owed += r->length() - kv_.cells().length(r->slot) + 1;
    }
    if (kv_.cells().free() >= wanted + owed) return true;
    if (start.from != kNoSlot) needed.push_back({start.from, start.n_forked});
    return kv_.cells().total() - kv_.cells().held_by(needed) >= wanted + owed;
}

void Scheduler::admit(Step& step, Request& request, const Start& start, Time now) {
    waiting_.remove(request);
    running_.push_back(&request);
    const bool shares = start.from != kNoSlot && kv_.slots()[start.from].owner != nullptr;
    kv_.admit(request, start, step.ops);
    want_checkpoint(request, start.n_shared);
    if (!request.begun) {
        request.begun = now;
        request.n_cached = kv_.slots()[request.slot].n_computed;
        request.n_shared = shares ? std::min(start.n_forked, request.n_cached) : 0;
        request.n_copied = std::max(request.n_cached - start.n_forked, 0);
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
        const int n_computed = kv_.slots()[request.slot].n_computed;
        const auto [end, whole] = end_of_chunk(request, n_computed);
        const int stop = request.checkpoints.next(n_computed, request.length());
        return std::pair((whole ? end : std::min(end, stop)) - n_computed, whole);
    };
    std::vector<Request*> prefilling;
    std::vector<Prefill> prefills;
    for (Request* request : running_) {
        const bool decodes = left(*request) == 1 && kv_.cells().length(request->slot) == request->length();
        if (left(*request) == 0 || decodes) continue;
        prefilling.push_back(request);
        prefills.push_back({request->priority, request->arrival, left_to_stop(*request).first});
    }
    if (prefills.empty()) return;
    for (const auto& [index, n_tokens] : share_prefill(prefills, prefill_budget(step))) {
        Request& request = *prefilling[index];
        if (request.slot == kNoSlot) continue;  // preempted to make room for another
        const auto [left, whole] = left_to_stop(request);
        const int share = whole && n_tokens > 0 ? left : std::min(n_tokens, left);
        if (share > 0 && make_room(step, share, request)) add_chunk(step, request, share);
    }
}

// Checkpoints: without partial removal another request can start only where a slot ends now. So a prefill stops
// where another branches off, or where somebody waits for it, and leaves a copy of its state there.

void Scheduler::want_checkpoint(Request& request, int n_tokens) const {
    if (request.length() <= limits_.partial_removal_tokens || n_tokens >= request.length()) return;
    if (n_tokens >= kv_.slots()[request.slot].n_computed + kLeastFollowTokens) request.checkpoints.add(n_tokens);
}

// --- room

/// Frees cells until `cells` are free: what is kept first, then running requests younger or of lower priority than
/// `keeper`. False when `keeper` itself had to go.
bool Scheduler::make_room(Step& step, int cells, const Request& keeper) {
    while (!kv_.give_up_kept(cells, step.ops)) {
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
    kv_.preempt(victim, step.ops);
    std::erase(running_, &victim);
    waiting_.put_back(victim);
    ++preemptions_;
}

// --- what became of a step

void Scheduler::commit(const Step& step, Time took) {
    for (const Chunk& chunk : step.chunks) kv_.set_computed(chunk.slot, chunk.first + chunk.n_tokens);
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
        const int left = removable ? std::min(chunk.first, kv_.slots()[chunk.slot].n_computed) : 0;
        Request& request = *kv_.slots()[chunk.slot].owner;
        if (request.length() == request.n_prompt) request.n_cached = std::min(request.n_cached, left);
        kv_.cut_back(chunk.slot, left);
    }
}

void Scheduler::restore_failed(const Load& load) {
    Request& request = *kv_.slots()[load.slot].owner;
    request.n_cached = std::min(request.n_cached, load.first);
    kv_.cut_back(load.slot, load.first);
    kv_.drop(load.block);
}

// --- requests

bool Scheduler::append(RequestId id, Token token) {
    Request& request = requests_.at(id);
    assert(request.slot != kNoSlot && left(request) == 0);
    request.own.push_back(token);
    kv_.extend(request.slot, token);
    return request.length() < request.n_max;
}

void Scheduler::finish(RequestId id) {
    const std::unique_ptr<Request> request = requests_.take(id);
    assert(request->slot != kNoSlot);
    std::erase(running_, request.get());
    if (Request* fork = requests_.add_fork_of(*request, now_)) waiting_.push(*fork);
    kv_.keep(*request);
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
    return {r.n_prompt, r.length() - r.n_prompt, r.n_cached, r.n_shared, r.n_copied, r.begun};
}

bool Scheduler::is_running(RequestId id) const {
    const Request* request = requests_.find(id);
    return request != nullptr && request->slot != kNoSlot;
}

bool Scheduler::awaits_token(RequestId id) const {
    const Request& request = requests_.at(id);
    return request.slot != kNoSlot && left(request) == 0;
}

void Scheduler::check() const {
    requests_.check();
    waiting_.check();
    kv_.check();
    demand(requests_.size() == running_.size() + waiting_.size());
    demand(running() <= limits_.slots);
    for (const Request* r : running_) {
        demand(r->slot != kNoSlot && kv_.slots()[r->slot].owner == r && r->length() <= limits_.context_per_sequence);
    }
}

}  // namespace sutazai::sched
