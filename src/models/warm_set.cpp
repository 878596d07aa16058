#include "models/warm_set.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "base/byte_text.h"
#include "base/thrown.h"
#include "models/memory_limit.h"

namespace sutazai::models {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr int kBusyRetryAfterS = 5;
/// A model that has never been loaded is taken for one of this load time.
constexpr milliseconds kUnknownLoadTime{500};

/// Between two notes of what is used, besides those at each load and eviction.
constexpr std::chrono::seconds kBetweenNotes{10};

Error shutting_down() {
    return {ErrorCode::kUnavailable, "the server is shutting down"};
}

/// Waits for the end of the leases, then ends the engine.
asio::awaitable<void> stop(std::shared_ptr<Lease::Slot> slot, WarmSet::Clock::time_point idle_until,
                           WarmSet::Clock::time_point deadline) {
    co_await asio::post(asio::use_awaitable);
    while (slot->n_leases > 0 && WarmSet::Clock::now() < idle_until) co_await slot->idle.wait(idle_until);
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - WarmSet::Clock::now());
    co_await slot->engine->stop(std::max(left, milliseconds(0)));
}

}  // namespace

std::shared_ptr<WarmSet> WarmSet::make(const config::Settings& settings, catalog::Catalog& catalog, BlockingPool& pool,
                                       std::string executable, Tuning tuning) {
    StandbyPool::Options options{settings.standby_engines, executable, tuning.engine_arguments,
                                 Backoff(tuning.first_backoff, tuning.longest_backoff, tuning.stable_after)};
    auto self = std::make_shared<WarmSet>(settings, catalog, pool, std::move(executable), std::move(tuning));
    // The pool goes with the set.
    self->standby_ = std::make_shared<StandbyPool>(
        std::move(options), StandbyPool::Surroundings{[set = self.get()] { return set->free_bytes(); },
                                                      [set = self.get()] { return set->quiet(); }});
    return self;
}

WarmSet::WarmSet(const config::Settings& settings, catalog::Catalog& catalog, BlockingPool& pool,
                 std::string executable, Tuning tuning)
    : catalog_(catalog),
      files_(std::make_shared<CatalogKeeper>(catalog, pool)),
      tuning_(std::move(tuning)),
      rules_(tuning_.placement),
      shape_{settings.context_tokens, settings.batch_size, settings.batch_size_max, settings.batch_tokens},
      keep_alive_(settings.model_keep_alive),
      configured_(settings.model_order),
      usage_writer_(pool, tuning_.usage_file) {
    rules_.room.places = settings.advanced_caching_enabled ? settings.model_cache_size : 1;
    rules_.room.bytes = settings.model_cache_bytes > 0 ? settings.model_cache_bytes : default_cache_bytes();
    options_.executable = std::move(executable);
    options_.context_tokens = settings.context_tokens;
    options_.batch_size = settings.batch_size;
    options_.batch_size_max = std::max(settings.batch_size, settings.batch_size_max);
    options_.queue_timeout_ms = settings.queue_timeout_s * 1000;
    options_.batch_tokens = settings.batch_tokens;
    options_.threads = settings.threads;
    options_.gpu = settings.gpu_acceleration;
    options_.batch_timeout_ms = settings.batch_timeout_ms;
    options_.max_queue = settings.max_queue;
    options_.token_gap_ms = settings.token_gap_ms;
    options_.prefix_sharing = settings.prefix_sharing;
    options_.chat_template = settings.chat_template;
    options_.control_tokens_in_messages = settings.control_tokens_in_messages;
    options_.prefix_cache_bytes = settings.prefix_cache_bytes;
    if (settings.advanced_caching_enabled) options_.artifact_folder = settings.cache_artifacts_dir;
    options_.artifact_bytes = settings.cache_artifact_bytes;
    options_.artifact_retention_days = settings.cache_artifact_retention_days;
    options_.load_timeout = tuning_.load_timeout.value_or(std::chrono::seconds(settings.load_timeout_s));
    options_.stall_timeout = tuning_.stall_timeout.value_or(std::chrono::seconds(settings.engine_stall_timeout_s));
    if (!tuning_.usage_file.empty()) usage_ = read_usage(tuning_.usage_file);  // before the event loop runs
}

// --- asking

asio::awaitable<Result<Lease>> WarmSet::acquire(std::shared_ptr<WarmSet> self, std::string name, Asking asking) {
    if (!self->executor_) self->executor_ = co_await asio::this_coro::executor;
    auto found = self->find(name);
    if (!found && found.error().code != ErrorCode::kInvalidArgument) {
        co_await self->files_->catch_up();  // its file may have come just now
        found = self->find(name);
    }
    if (!found) co_return std::unexpected(found.error());
    Model& model = **found;
    const bool is_request = asking.purpose == Purpose::kRequest;
    self->count_use(model, asking.purpose);
    for (bool warm = true;; warm = false) {
        if (auto error = co_await check_file(self, model)) co_return std::unexpected(std::move(*error));
        if (self->draining_ || self->closed_) co_return std::unexpected(shutting_down());
        Result<Lease> lease;
        if (model.slot && !model.slot->leaving) {
            lease = self->grant(model, asking);
        } else {
            warm = false;
            if (auto error = self->reason_to_refuse(model)) co_return std::unexpected(std::move(*error));
            lease = co_await self->wait_for(model, asking);
            if (!lease) co_return lease;
        }
        // Between the grant and now the engine may have died, or the server begun to drain.
        if (!lease->engine().alive() || self->draining_) continue;
        if (is_request) {
            ++model.requests;
            model.found_warm += warm ? 1 : 0;
        }
        co_return lease;
    }
}

Result<Lease> WarmSet::hold_if_warm(const std::string& name) {
    const auto found = find(name);
    if (!found) return std::unexpected(found.error());
    const Model& model = **found;
    if (!model.slot || model.slot->leaving || draining_ || closed_) {
        return fail(ErrorCode::kUnavailable, fmt::format("'{}' is not warm", model.name));
    }
    return Lease(model.slot);
}

Result<WarmSet::Model*> WarmSet::find(const std::string& name) {
    if (const auto known = models_.find(name); known != models_.end()) return known->second.get();
    const auto file = catalog_.find(name);
    if (!file) return std::unexpected(file.error());
    auto& model = models_[file->name];
    if (!model) {
        model = std::make_unique<Model>(file->name,
                                        Backoff(tuning_.first_backoff, tuning_.longest_backoff, tuning_.stable_after));
        model->file_bytes = file->bytes;
        recall(*model);
    }
    return model.get();
}

/// Who asks for a model to be warm means to use it.
void WarmSet::count_use(Model& model, Purpose purpose) {
    if (purpose != Purpose::kModestWarmUp) model.popularity.count(++n_requests_);
    if (purpose == Purpose::kRequest) model.last_used = std::chrono::system_clock::now();
}

/// Before a cold model may ask for a place, which another model might have to leave for it.
std::optional<Error> WarmSet::reason_to_refuse(Model& model) {
    if (model.slot || model.loading || !model.waiting.empty()) return std::nullopt;
    const auto now = Clock::now();
    if (model.backoff.refuses(now)) {
        Error error = model.last_error.value_or(Error{ErrorCode::kUnavailable, "it has failed"});
        error.retry_after_s = model.backoff.retry_after_s(now);
        return error;
    }
    if (auto error = reason_not_to_fit(model)) {
        model.last_error = error;
        return error;
    }
    return std::nullopt;
}

/// Whether it cannot fit however many others leave.
std::optional<Error> WarmSet::reason_not_to_fit(const Model& model) const {
    const std::uint64_t needed = expected_bytes(model);
    if (needed > rules_.room.bytes) {
        return Error{
            ErrorCode::kLoadFailed,
            fmt::format("'{}' could not be loaded: it needs {} (weights {}, KV {}, compute {}, process {}{}), "
                        "and MODEL_CACHE_BYTES allows {}",
                        model.name, byte_text(needed), byte_text(model.estimate.weights), byte_text(model.estimate.kv),
                        byte_text(model.estimate.compute), byte_text(model.estimate.process),
                        model.correction ? "; corrected by what was measured" : "", byte_text(rules_.room.bytes))};
    }
    placement::Room kept;
    std::string pinned, held;
    for (const auto& [name, other] : models_) {
        const placement::Model seen = view(*other);
        if (name == model.name || !seen.pinned || seen.phase == placement::Phase::kCold) continue;
        ++kept.places;
        kept.bytes += seen.bytes;
        std::string& list = other->pinned ? pinned : held;
        list += (list.empty() ? "" : ", ") + name;
    }
    const std::uint64_t free = rules_.room.bytes - std::min(kept.bytes, rules_.room.bytes);
    if (kept.places < rules_.room.places && needed <= free) return std::nullopt;
    std::string who;
    if (!pinned.empty()) who = fmt::format("what is pinned ({})", pinned);
    if (!held.empty()) who += fmt::format("{}what was just warmed up ({})", who.empty() ? "" : " and ", held);
    return Error{ErrorCode::kUnavailable,
                 fmt::format("'{}' needs a place and {}, and {} leaves {} of {} places and {} of {}", model.name,
                             byte_text(needed), who, rules_.room.places - std::min(kept.places, rules_.room.places),
                             rules_.room.places, byte_text(free), byte_text(rules_.room.bytes))};
}

std::uint64_t WarmSet::expected_bytes(const Model& model) const {
    const auto corrected = static_cast<std::int64_t>(model.estimate.total()) + model.correction.value_or(0);
    return static_cast<std::uint64_t>(std::max<std::int64_t>(corrected, 1));
}

asio::awaitable<Result<Lease>> WarmSet::wait_for(Model& model, Asking asking) {
    const auto self = shared_from_this();
    Waiter waiter{.asking = asking};
    struct Registration {
        WarmSet& set;
        Model& model;
        Waiter* waiter;
        ~Registration() {
            std::erase(model.waiting, waiter);
            if (!waiter->result) set.arrange();  // it may have been the last one
        }
    };
    if (n_waiting(model) == 0) {
        model.waiting_since = Clock::now();
        const bool first =
            std::ranges::all_of(models_, [](const auto& entry) { return n_waiting(*entry.second) == 0; });
        if (first) {
            for (const auto& [name, other] : models_) other->n_admitted = 0;
        }
    }
    model.waiting.push_back(&waiter);
    const Registration registration{*this, model, &waiter};
    arrange();
    const auto deadline = Clock::now() + options_.load_timeout;
    while (!waiter.result) {
        co_await waiter.ready.wait(model.loading ? ipc::Signal::kEver : deadline);
        if (!waiter.result && !model.loading && Clock::now() >= deadline) {
            const bool stale = model.slot && model.slot->stale;
            Error error{ErrorCode::kUnavailable,
                        stale ? fmt::format("the file of '{}' has changed on disk, and requests to what was loaded "
                                            "before are still running",
                                            model.name)
                              : fmt::format("every model that is loaded is busy; '{}' found no place", model.name)};
            error.retry_after_s = kBusyRetryAfterS;
            co_return std::unexpected(std::move(error));
        }
    }
    co_return std::move(*waiter.result);
}

std::size_t WarmSet::n_waiting(const Model& model) {
    return static_cast<std::size_t>(
        std::ranges::count_if(model.waiting, [](const Waiter* waiter) { return !waiter->result; }));
}

/// The model is warm.
Lease WarmSet::grant(Model& model, const Asking& asking) const {
    Slot& slot = *model.slot;
    if (asking.purpose != Purpose::kRequest) return Lease(model.slot, true);
    slot.keep_alive = asking.keep_alive.value_or(keep_alive_);
    ++model.n_admitted;
    return Lease(model.slot);
}

void WarmSet::give_leases(Model& model) {
    for (Waiter* waiter : model.waiting) {
        if (waiter->result) continue;
        waiter->result = grant(model, waiter->asking);
        waiter->ready.notify();
    }
}

void WarmSet::refuse_all(Model& model, const Error& error) {
    for (Waiter* waiter : model.waiting) {
        if (waiter->result) continue;
        waiter->result = std::unexpected(error);
        waiter->ready.notify();
    }
}

// --- who has a place

void WarmSet::arrange() {
    while (!closed_ && !draining_) {
        std::vector<Model*> models;
        std::vector<placement::Model> views;
        models.reserve(models_.size());
        views.reserve(models_.size());
        for (const auto& [name, model] : models_) {
            models.push_back(model.get());
            views.push_back(view(*model));
        }
        const placement::Plan decided = placement::plan(views, ending(), rules_, Clock::now());
        if (decided.actions.empty()) {
            standby_->adjust();
            return look_again(decided.look_again);
        }
        for (const placement::Action& action : decided.actions) carry_out(action.kind, *models[action.model]);
    }
}

placement::Model WarmSet::view(const Model& model) const {
    using placement::Phase;
    placement::Model out;
    out.n_waiting = n_waiting(model);
    out.waiting_since = model.waiting_since;
    out.may_displace = std::ranges::any_of(model.waiting, [](const Waiter* waiter) {
        return !waiter->result && waiter->asking.purpose != Purpose::kModestWarmUp;
    });
    out.n_admitted = model.n_admitted;
    out.pinned = model.pinned;
    out.score = model.popularity.score(n_requests_);
    out.bytes = expected_bytes(model);
    out.displaced = model.displaced_until && *model.displaced_until > Clock::now();
    out.load_time = model.load_time.count() > 0 ? model.load_time : kUnknownLoadTime;
    if (model.loading) out.phase = Phase::kLoading;
    if (const Slot* slot = model.slot.get()) {
        out.phase = slot->leaving ? Phase::kLeaving : Phase::kWarm;
        out.dismissed = slot->dismissed;
        out.n_leases = slot->n_leases;
        out.pinned = model.pinned || slot->n_reserving > 0;
        out.bytes = std::max(out.bytes, slot->measured_bytes);
        out.loaded_at = slot->loaded_at;
        out.idle_since = slot->idle_since;
        out.unload_at = slot->unload_at;
    }
    return out;
}

placement::Room WarmSet::ending() const {
    placement::Room out;
    // The next engine need not wait for the end of one whose process it does not need: one that stands by is there.
    out.places = ending_.size() - std::min(ending_.size(), standby_->size());
    for (const auto& slot : ending_) {
        out.bytes += std::max<std::uint64_t>(slot->measured_bytes, 1);
    }
    return out;
}

void WarmSet::carry_out(placement::Action::Kind kind, Model& model) {
    using Kind = placement::Action::Kind;
    const auto now = Clock::now();
    switch (kind) {
        case Kind::kLoad: start_engine(model); break;
        case Kind::kEvict:
            spdlog::info("model {}: makes room for another", model.name);
            model.displaced_until = model.slot->unload_at.value_or(Clock::time_point::max());
            end_engine(model, now, now + tuning_.eviction_deadline);
            break;
        case Kind::kUnload:
            spdlog::info("model {}: is unloaded", model.name);
            // Memory that was given back on purpose is not filled again by itself.
            if (!model.slot->stale) {
                for (const auto& [name, other] : models_) other->displaced_until.reset();
            }
            end_engine(model, now, now + tuning_.eviction_deadline);
            break;
        case Kind::kLeave: model.slot->leaving = true; break;
        case Kind::kStay:
            model.slot->leaving = false;
            give_leases(model);
            break;
        case Kind::kRefuse:
            refuse_all(model, {ErrorCode::kUnavailable,
                               fmt::format("there is no room for '{}' beside the models that are warm", model.name)});
            break;
    }
}

void WarmSet::look_again(std::optional<Clock::time_point> when) {
    if (!when) {
        if (timer_) timer_->expires_at(Clock::time_point::min());
        return;
    }
    if (!executor_) return;
    if (!timer_) timer_.emplace(executor_);
    if (timer_->expiry() == *when) return;
    timer_->expires_at(*when);
    timer_->async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->timer_->expires_at(Clock::time_point::min());  // what was waited for is over
        try {
            self->arrange();
        } catch (const std::exception& thrown) {
            spdlog::error("arranging the warm set failed: {}", thrown.what());
        }
    });
}

void WarmSet::end_engine(Model& model, Clock::time_point idle_until, Clock::time_point deadline) {
    const std::shared_ptr<Slot> slot = std::exchange(model.slot, nullptr);
    ending_.push_back(slot);
    ++model.n_ending;
    if (!draining_) remember();
    asio::co_spawn(executor_, stop(slot, idle_until, deadline),
                   [self = shared_from_this(), &model, slot](const std::exception_ptr& thrown) {
                       if (thrown) spdlog::error("model {}: its end failed: {}", model.name, text_of(thrown));
                       std::erase(self->ending_, slot);
                       --model.n_ending;
                       model.past.add_counters(slot->engine->stats());
                       slot->ended = true;
                       slot->gone.notify();
                       model.backoff.forget();
                       self->free_place();
                   });
}

void WarmSet::free_place() {
    place_freed_.notify();
    arrange();
}

void WarmSet::on_idle(const std::shared_ptr<Slot>& slot) {
    const auto now = Clock::now();
    slot->idle_since = now;
    slot->unload_at.reset();
    if (slot->keep_alive.count() >= 0) slot->unload_at = now + slot->keep_alive;
    const auto found = models_.find(slot->model);
    if (found != models_.end() && found->second->slot == slot) measure(*found->second, *slot);
    if (now > remembered_at_ + kBetweenNotes && !draining_) remember();
    arrange();
}

// --- all together

asio::awaitable<void> WarmSet::drain(std::shared_ptr<WarmSet> self, Clock::time_point deadline) {
    UsageByName usage = self->usage_now();  // while they are warm
    self->draining_ = true;
    self->standby_->close();
    self->files_->stop();
    self->look_again(std::nullopt);
    for (const auto& slot : self->ending_) {
        asio::co_spawn(self->executor_, stop(slot, Clock::now(), deadline), [](const std::exception_ptr&) {});
    }
    for (const auto& [name, model] : self->models_) {
        refuse_all(*model, shutting_down());
        if (model->loading) model->cancel_load.emit(asio::cancellation_type::terminal);
        if (model->slot) self->end_engine(*model, deadline, deadline);
    }
    (void)co_await self->usage_writer_.write_now(std::move(usage));
    while (self->has_engines()) co_await self->place_freed_.wait(ipc::Signal::kEver);
}

void WarmSet::close() {
    closed_ = true;
    standby_->close();
    files_->stop();
    timer_.reset();
    for (const auto& [name, model] : models_) {
        refuse_all(*model, shutting_down());
        if (model->loading) model->cancel_load.emit(asio::cancellation_type::terminal);
        model->slot.reset();
    }
}

/// Nothing loads, runs or ends.
bool WarmSet::quiet() const {
    return ending_.empty() && std::ranges::none_of(models_, [](const auto& entry) {
               const Model& model = *entry.second;
               return model.loading || !model.waiting.empty() || (model.slot && model.slot->n_leases > 0);
           });
}

/// What the models that are warm, load or end leave of the memory.
std::uint64_t WarmSet::free_bytes() const {
    std::uint64_t free = rules_.room.bytes;
    const auto take = [&](std::uint64_t bytes) { free -= std::min(free, bytes); };
    take(ending().bytes);
    for (const auto& [name, model] : models_) {
        if (model->loading || model->slot) take(view(*model).bytes);
    }
    return free;
}

bool WarmSet::has_engines() const {
    return !ending_.empty() ||
           std::ranges::any_of(models_, [](const auto& entry) { return entry.second->loading || entry.second->slot; });
}

}  // namespace sutazai::models
