#include "models/warm_model.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/byte_text.h"
#include "models/process_memory.h"

namespace sutazai::models {
namespace {

/// A model that has never been loaded is taken for one of this load time.
constexpr std::chrono::milliseconds kUnknownLoadTime{500};
constexpr std::chrono::seconds kBetweenMeasurements{1};

}  // namespace

ModelState WarmModel::state() const {
    if (load.running) return load.progress.warming ? ModelState::kWarming : ModelState::kLoading;
    if (slot) return slot->leaving ? ModelState::kDraining : ModelState::kWarm;
    if (!ending.empty()) return ModelState::kDraining;
    return failures.last ? ModelState::kFailed : ModelState::kCold;
}

std::size_t WarmModel::n_waiting() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(waiting, [](const Waiter* waiter) { return !waiter->result; }));
}

placement::Model WarmModel::seen(std::uint64_t n_requests, Clock::time_point now) const {
    using placement::Phase;
    placement::Model out;
    out.n_waiting = n_waiting();
    out.waiting_since = waiting_since;
    out.may_displace = std::ranges::any_of(waiting, [](const Waiter* waiter) {
        return !waiter->result && waiter->asking.purpose != Purpose::kModestWarmUp;
    });
    out.n_admitted = n_admitted;
    out.pinned = is_pinned();
    out.score = use.popularity.score(n_requests);
    const std::uint64_t next_bytes = memory.expected_bytes() - std::min(memory.expected_bytes(), file.shared_bytes);
    out.bytes = slot ? memory.expected_bytes() : next_bytes;
    out.displaced = displaced_until && *displaced_until > now;
    out.load_time = load.took.count() > 0 ? load.took : kUnknownLoadTime;
    if (load.running) out.phase = Phase::kLoading;
    if (slot) {
        out.phase = slot->leaving ? Phase::kLeaving : Phase::kWarm;
        out.dismissed = slot->dismissed;
        if (slot->stale) out.next_bytes = next_bytes;
        out.n_leases = slot->n_leases;
        out.pinned = is_pinned() || slot->n_reserving > 0;
        out.bytes = slot->own_bytes(std::max(out.bytes, slot->measured_bytes));
        out.loaded_at = slot->loaded_at;
        out.idle_since = slot->idle_since;
        out.unload_at = slot->unload_at;
    }
    return out;
}

Lease WarmModel::grant(const Asking& asking, KeepAlive keep_alive) {
    if (asking.purpose != Purpose::kRequest) return {slot, asking.model, true};
    slot->keep_alive = asking.keep_alive_or(keep_alive);
    ++n_admitted;
    return {slot, asking.model};
}

void WarmModel::grant_all(KeepAlive keep_alive) {
    for (Waiter* waiter : waiting) {
        if (waiter->result) continue;
        waiter->result = grant(waiter->asking, keep_alive);
        waiter->ready.notify();
    }
}

void WarmModel::refuse_all(const Error& error) {
    for (Waiter* waiter : waiting) {
        if (waiter->result) continue;
        waiter->result = std::unexpected(error);
        waiter->ready.notify();
    }
}

void WarmModel::load_begins() {
    load.running = true;
    load.progress = {};
    load.since = Clock::now();
    load.stamps = file.stamps;
    file.note.clear();
    spdlog::info("model {}: loading, about {}", name, byte_text(memory.expected_bytes()));
}

void WarmModel::loaded(ipc::OwnedEngine engine, KeepAlive otherwise) {
    slot = std::make_shared<EngineSlot>();
    slot->model = name;
    slot->engine = std::move(engine);
    slot->stamps = std::move(load.stamps);
    slot->loaded_at = slot->idle_since = Clock::now();
    // Who loads it without using it wants it to be there for a while.
    slot->keep_alive = keep_alive.value_or(otherwise);
    if (slot->keep_alive.count() == 0) slot->keep_alive = kKeepForEver;
    if (slot->keep_alive.count() > 0) slot->unload_at = slot->loaded_at + slot->keep_alive;
    if (displaced_until && *displaced_until != Clock::time_point::max()) slot->unload_at = *displaced_until;
    displaced_until.reset();
    load.took = slot->loaded_at - load.since;
    ++moves.loads;
    moves.loading += std::chrono::duration_cast<std::chrono::milliseconds>(load.took);
    failures.last.reset();
    const ipc::ModelInfo::SharedWeights& shared = slot->engine->info().shared;
    if (file.shared_bytes > 0 && shared.sibling.empty()) file.may_share = false;
    measure();
    if (!shared.sibling.empty()) {
        spdlog::info("model {}: starts from {} of weights that {} has in memory", name, byte_text(shared.bytes),
                     shared.sibling);
    }
    spdlog::info("model {}: warm after {} ms, engine process {}, {}", name,
                 std::chrono::duration_cast<std::chrono::milliseconds>(load.took).count(), slot->engine->pid(),
                 byte_text(slot->measured_bytes));
}

Error WarmModel::load_failed(Error error) {
    const auto now = Clock::now();
    failures.backoff.load_failed(now);
    ++moves.failed_loads;
    displaced_until.reset();
    error.code = ErrorCode::kLoadFailed;
    error.message = fmt::format("'{}' could not be loaded: {}", name, error.message);
    if (!load_hint.empty()) error.message += ". " + load_hint;
    error.retry_after_s = failures.backoff.retry_after_s(now);
    spdlog::error("model {}: {}", name, error.message);
    failures.last = error;
    return error;
}

void WarmModel::measure() {
    const auto now = Clock::now();
    const bool first = slot->measured_bytes == 0;
    if (!first && now < slot->measured_at + kBetweenMeasurements) return;
    const auto taken = memory_of(slot->engine->pid());
    if (!taken || taken->total() == 0) return;
    slot->measured_at = now;
    slot->measured_bytes = std::max(slot->measured_bytes, taken->total());
    // KV memory that is there for the engine and that it will touch in time.
    if (first) slot->measured_bytes += slot->engine->info().untouched_bytes;
    // Prefixes in host memory come and go with use; the next engine begins without.
    std::uint64_t own = taken->total() - std::min(taken->total(), slot->engine->stats().host_bytes);
    if (first) own += slot->engine->info().untouched_bytes;
    memory.learn(own, first);
}

void WarmModel::crashed(const std::string& why) {
    spdlog::error("model {}: {}", name, why);
    const auto now = Clock::now();
    const std::shared_ptr<EngineSlot> dead = std::exchange(slot, nullptr);
    ++failures.crashes;
    failures.last_crash = why;
    failures.backoff.crashed(now, now - dead->loaded_at);
    failures.last = Error{ErrorCode::kUnavailable, why};
    over(*dead);
    if (!failures.backoff.refuses(now)) return;
    Error error = *failures.last;
    error.retry_after_s = failures.backoff.retry_after_s(now);
    refuse_all(error);
}

std::shared_ptr<EngineSlot> WarmModel::end_begins() {
    return ending.emplace_back(std::exchange(slot, nullptr));
}

void WarmModel::ended(const std::shared_ptr<EngineSlot>& its) {
    std::erase(ending, its);
    failures.backoff.forget();
    over(*its);
}

void WarmModel::over(EngineSlot& its) {
    past.add_counters(its.engine->stats());
    its.ended = true;
    its.gone.notify();
}

}  // namespace sutazai::models
