#include "models/warm_set.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "catalog/gguf_file.h"

namespace sutazai::models {

namespace asio = boost::asio;
using ipc::EngineClient;
using std::chrono::milliseconds;

namespace {

constexpr int kBusyRetryAfterS = 5;

Error shutting_down() {
    return {ErrorCode::kUnavailable, "the server is shutting down"};
}

/// Starts the engine in a turn of its own, so that its failure does not come back into the middle of what starts it.
asio::awaitable<Result<std::unique_ptr<EngineClient>>> start_later(ipc::EngineOptions options,
                                                                   std::function<void(float)> progress) {
    co_await asio::post(asio::use_awaitable);
    co_return co_await EngineClient::start(std::move(options), std::move(progress));
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

WarmSet::WarmSet(const config::Settings& settings, const catalog::Catalog& catalog, std::string executable,
                 Tuning tuning)
    : catalog_(catalog),
      tuning_(std::move(tuning)),
      n_places_(settings.advanced_caching_enabled ? settings.model_cache_size : 1) {
    options_.executable = std::move(executable);
    options_.context_tokens = settings.context_tokens;
    options_.batch_size = settings.batch_size;
    options_.batch_size_max = std::max(settings.batch_size, settings.batch_size_max);
    options_.queue_timeout_ms = settings.queue_timeout_s * 1000;
    options_.batch_tokens = settings.batch_tokens;
    options_.threads = settings.threads;
    options_.gpu = settings.gpu_acceleration;
    options_.batch_hold_ms = settings.batch_timeout_ms;
    options_.queue_limit = settings.max_queue;
    options_.token_gap_ms = settings.token_gap_ms;
    options_.share_prefixes = settings.prefix_sharing;
    options_.prefix_cache_bytes = settings.prefix_cache_bytes;
    options_.load_timeout = tuning_.load_timeout.value_or(std::chrono::seconds(settings.load_timeout_s));
}

// --- asking

asio::awaitable<Result<Lease>> WarmSet::acquire(std::shared_ptr<WarmSet> self, std::string name, Purpose purpose) {
    if (!self->executor_) self->executor_ = co_await asio::this_coro::executor;
    const auto found = self->find(name);
    if (!found) co_return std::unexpected(found.error());
    Model& model = **found;
    for (bool warm = true;; warm = false) {
        if (self->draining_ || self->closed_) co_return std::unexpected(shutting_down());
        Result<Lease> lease;
        if (model.slot && !model.slot->leaving) {
            model.slot->last_used = ++self->ticks_;
            lease = Lease(model.slot);
        } else {
            warm = false;
            if (auto error = self->reason_to_refuse(model)) co_return std::unexpected(std::move(*error));
            lease = co_await self->wait_for(model);
            if (!lease) co_return lease;
        }
        // Between the grant and now the engine may have died, or the server begun to drain.
        if (!lease->engine().alive() || self->draining_) continue;
        if (purpose == Purpose::kRequest) {
            ++model.requests;
            model.found_warm += warm ? 1 : 0;
        }
        co_return lease;
    }
}

Result<WarmSet::Model*> WarmSet::find(const std::string& name) {
    if (const auto known = models_.find(name); known != models_.end()) return known->second.get();
    const auto file = catalog_.find(name);
    if (!file) return std::unexpected(file.error());
    auto& model = models_[file->name];
    if (!model) {
        model = std::make_unique<Model>(file->name,
                                        Backoff(tuning_.first_backoff, tuning_.longest_backoff, tuning_.stable_after));
    }
    return model.get();
}

/// Before a cold model may ask for a place, which another model might have to leave for it.
std::optional<Error> WarmSet::reason_to_refuse(Model& model) {
    if (model.slot || model.loading || model.queued) return std::nullopt;
    const auto now = Clock::now();
    if (model.backoff.refuses(now)) {
        Error error = model.last_error.value_or(Error{ErrorCode::kUnavailable, "it has failed"});
        error.retry_after_s = model.backoff.retry_after_s(now);
        return error;
    }
    const auto file = catalog_.find(model.name);
    if (!file) return file.error();
    if (const auto summary = catalog::read_gguf_summary(file->path); !summary) {
        return on_load_failed(model, summary.error());
    }
    model.path = file->path;
    return std::nullopt;
}

asio::awaitable<Result<Lease>> WarmSet::wait_for(Model& model) {
    const auto self = shared_from_this();
    Waiter waiter;
    struct Registration {
        WarmSet& set;
        Model& model;
        Waiter* waiter;
        ~Registration() {
            std::erase(model.waiting, waiter);
            if (!model.queued || !model.waiting.empty()) return;
            set.leave_queue(model);
            set.arrange();
        }
    };
    model.waiting.push_back(&waiter);
    const Registration registration{*this, model, &waiter};
    if (!model.loading && !model.queued) {
        model.queued = true;
        queue_.push_back(&model);
        arrange();
    }
    const auto deadline = Clock::now() + options_.load_timeout;
    while (!waiter.result) {
        co_await waiter.ready.wait(model.queued ? deadline : ipc::Signal::kEver);
        if (!waiter.result && model.queued && Clock::now() >= deadline) {
            Error error{ErrorCode::kUnavailable,
                        fmt::format("every model that is loaded is busy; '{}' found no place", model.name)};
            error.retry_after_s = kBusyRetryAfterS;
            co_return std::unexpected(std::move(error));
        }
    }
    co_return std::move(*waiter.result);
}

void WarmSet::give_leases(Model& model) {
    model.slot->last_used = ++ticks_;
    for (Waiter* waiter : model.waiting) {
        if (waiter->result) continue;
        waiter->result = Lease(model.slot);
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

void WarmSet::leave_queue(Model& model) {
    std::erase(queue_, &model);
    model.queued = false;
}

// --- who has a place

void WarmSet::arrange() {
    while (!closed_ && !draining_) {
        start_queued_loads();
        const std::size_t missing = n_missing_places();
        if (missing > 0) {
            if (Model* victim = least_recently_used(/*idle=*/true)) {
                evict(*victim);
                continue;
            }
        }
        const auto leaving = static_cast<std::size_t>(std::ranges::count_if(
            models_, [](const auto& entry) { return entry.second->slot && entry.second->slot->leaving; }));
        if (leaving < missing) {
            Model* victim = least_recently_used(/*idle=*/false);
            if (victim == nullptr) return;
            victim->slot->leaving = true;
        } else if (leaving > missing) {
            Model& stays = *most_recently_used_leaving();
            stays.slot->leaving = false;
            leave_queue(stays);
            give_leases(stays);
        } else {
            return;
        }
    }
}

void WarmSet::start_queued_loads() {
    while (places_taken_ < n_places_) {
        const auto next = std::ranges::find_if(queue_, [](const Model* model) { return !model->slot; });
        if (next == queue_.end()) return;
        Model& model = **next;
        leave_queue(model);
        ++places_taken_;
        start_engine(model);
    }
}

/// Places that models in the queue still need. Those that are warm, about to leave, will count once they are cold.
std::size_t WarmSet::n_missing_places() const {
    const auto cold =
        static_cast<std::size_t>(std::ranges::count_if(queue_, [](const Model* model) { return !model->slot; }));
    return cold > evicting_.size() ? cold - evicting_.size() : 0;
}

WarmSet::Model* WarmSet::least_recently_used(bool idle) const {
    Model* found = nullptr;
    for (const auto& [name, model] : models_) {
        if (!model->slot || (idle ? model->slot->n_leases > 0 : model->slot->leaving)) continue;
        if (found == nullptr || model->slot->last_used < found->slot->last_used) found = model.get();
    }
    return found;
}

WarmSet::Model* WarmSet::most_recently_used_leaving() const {
    Model* found = nullptr;
    for (const auto& [name, model] : models_) {
        if (!model->slot || !model->slot->leaving) continue;
        if (found == nullptr || model->slot->last_used > found->slot->last_used) found = model.get();
    }
    return found;
}

void WarmSet::evict(Model& model) {
    spdlog::info("model {}: makes room for another", model.name);
    const auto now = Clock::now();
    end_engine(model, now, now + tuning_.eviction_deadline);
}

void WarmSet::end_engine(Model& model, Clock::time_point idle_until, Clock::time_point deadline) {
    const std::shared_ptr<Slot> slot = std::exchange(model.slot, nullptr);
    evicting_.push_back(slot);
    ++model.n_evicting;
    asio::co_spawn(executor_, stop(slot, idle_until, deadline),
                   [self = shared_from_this(), &model, slot](const std::exception_ptr&) {
                       std::erase(self->evicting_, slot);
                       --model.n_evicting;
                       model.backoff.forget();
                       self->free_place();
                   });
}

void WarmSet::free_place() {
    --places_taken_;
    place_freed_.notify();
    arrange();
}

void WarmSet::on_idle(const std::shared_ptr<Slot>& slot) {
    slot->last_used = ++ticks_;
    arrange();
}

// --- what engines report

void WarmSet::start_engine(Model& model) {
    model.loading = true;
    model.progress = 0;
    ipc::EngineOptions options = options_;
    options.model_name = model.name;
    options.arguments = {"--name", model.name};
    options.arguments.insert(options.arguments.end(), tuning_.engine_arguments.begin(), tuning_.engine_arguments.end());
    options.path = model.path;
    spdlog::info("model {}: loading", model.name);
    asio::co_spawn(
        executor_,
        start_later(std::move(options),
                    [weak = weak_from_this(), &model](float fraction) {
                        if (const auto self = weak.lock()) model.progress = fraction;
                    }),
        asio::bind_cancellation_slot(model.cancel_load.slot(),
                                     [self = shared_from_this(), &model](const std::exception_ptr& thrown,
                                                                         Result<std::unique_ptr<EngineClient>> engine) {
                                         model.loading = false;
                                         if (thrown || self->draining_ || self->closed_) {
                                             refuse_all(model, shutting_down());
                                         } else if (engine) {
                                             self->on_loaded(model, std::move(*engine));
                                             return;
                                         } else {
                                             refuse_all(model, self->on_load_failed(model, std::move(engine.error())));
                                         }
                                         self->free_place();
                                     }));
}

void WarmSet::on_loaded(Model& model, std::unique_ptr<EngineClient> engine) {
    spdlog::info("model {}: warm, engine process {}", model.name, engine->pid());
    auto slot = std::make_shared<Slot>();
    slot->model = model.name;
    slot->owner = weak_from_this();
    slot->loaded_at = Clock::now();
    slot->engine = std::move(engine);
    slot->engine->on_exit([weak = weak_from_this(), &model, slot = slot.get()](bool, const std::string& why) {
        if (const auto self = weak.lock()) self->on_engine_exit(model, slot, why);
    });
    model.slot = std::move(slot);
    model.last_error.reset();
    give_leases(model);
    arrange();
}

/// Returns what to tell those who asked.
Error WarmSet::on_load_failed(Model& model, Error error) {
    const auto now = Clock::now();
    model.backoff.load_failed(now);
    error.code = ErrorCode::kLoadFailed;
    error.message = fmt::format("'{}' could not be loaded: {}", model.name, error.message);
    error.retry_after_s = model.backoff.retry_after_s(now);
    spdlog::error("model {}: {}", model.name, error.message);
    model.last_error = error;
    return error;
}

void WarmSet::on_engine_exit(Model& model, const Slot* slot, const std::string& why) {
    if (model.slot.get() != slot) return;  // it was told to
    spdlog::error("model {}: {}", model.name, why);
    const auto now = Clock::now();
    model.backoff.crashed(now, now - slot->loaded_at);
    model.last_error = Error{ErrorCode::kUnavailable, why};
    const std::shared_ptr<Slot> dead = std::exchange(model.slot, nullptr);
    if (model.queued && model.backoff.refuses(now)) {
        Error error = *model.last_error;
        error.retry_after_s = model.backoff.retry_after_s(now);
        leave_queue(model);
        refuse_all(model, error);
    }
    free_place();
}

// --- all together

asio::awaitable<void> WarmSet::drain(std::shared_ptr<WarmSet> self, Clock::time_point deadline) {
    self->draining_ = true;
    self->queue_.clear();
    for (const auto& slot : self->evicting_) {
        asio::co_spawn(self->executor_, stop(slot, Clock::now(), deadline), asio::detached);
    }
    for (const auto& [name, model] : self->models_) {
        model->queued = false;
        refuse_all(*model, shutting_down());
        if (model->loading) model->cancel_load.emit(asio::cancellation_type::terminal);
        if (model->slot) self->end_engine(*model, deadline, deadline);
    }
    while (self->places_taken_ > 0) co_await self->place_freed_.wait(ipc::Signal::kEver);
}

void WarmSet::close() {
    closed_ = true;
    queue_.clear();
    for (const auto& [name, model] : models_) {
        model->queued = false;
        refuse_all(*model, shutting_down());
        if (model->loading) model->cancel_load.emit(asio::cancellation_type::terminal);
        model->slot.reset();
    }
}

ModelState WarmSet::state(const Model& model) const {
    if (model.loading) return ModelState::kLoading;
    if (model.slot) return ModelState::kWarm;
    if (model.n_evicting > 0) return ModelState::kDraining;
    return model.last_error ? ModelState::kFailed : ModelState::kCold;
}

ModelStatus WarmSet::status(const Model& model) const {
    ModelStatus out;
    out.name = model.name;
    out.state = state(model);
    out.load_progress = model.loading ? model.progress : 0;
    if (model.last_error) out.last_error = model.last_error->message;
    out.requests = model.requests;
    out.found_warm = model.found_warm;
    if (model.slot) {
        out.pid = model.slot->engine->pid();
        out.info = model.slot->engine->info();
        out.stats = model.slot->engine->stats();
    }
    return out;
}

std::vector<ModelStatus> WarmSet::status() const {
    std::map<std::string, ModelStatus> by_name;
    for (const auto& file : catalog_.list()) by_name[file.name].name = file.name;
    for (const auto& [name, model] : models_) {
        // A model whose file is gone matters for as long as it is in use.
        if (by_name.contains(name) || state(*model) != ModelState::kCold) by_name[name] = status(*model);
    }
    std::vector<ModelStatus> out;
    out.reserve(by_name.size());
    for (auto& [name, entry] : by_name) out.push_back(std::move(entry));
    return out;
}

bool WarmSet::any_warm() const {
    return std::ranges::any_of(models_, [](const auto& entry) { return entry.second->slot != nullptr; });
}

std::size_t WarmSet::open_requests() const {
    std::size_t n = 0;
    for (const auto& [name, model] : models_) n += model->slot ? model->slot->engine->open_requests() : 0;
    for (const auto& slot : evicting_) n += slot->engine->open_requests();
    return n;
}

}  // namespace sutazai::models
