#include "models/warm_set.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "base/byte_text.h"
#include "base/thrown.h"
#include "models/engine_settings.h"
#include "models/fit.h"
#include "models/shared_weights.h"

namespace sutazai::models {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

/// Starts the engine in a turn of its own, so that its failure does not come back into the middle of what starts it.
asio::awaitable<Result<ipc::OwnedEngine>> start_later(ipc::EngineOptions options,
                                                      std::function<void(ipc::LoadProgress)> progress,
                                                      ipc::OwnedEngine standby) {
    co_await asio::post(asio::use_awaitable);
    co_return co_await ipc::EngineClient::start(std::move(options), std::move(progress), std::move(standby));
}

/// Waits for the end of the leases, or of the engine, then ends the engine: it gets `grace` for that. With a deadline
/// all is over by then.
asio::awaitable<void> stop(std::shared_ptr<EngineSlot> slot, milliseconds grace,
                           std::optional<WarmSet::Clock::time_point> deadline) {
    co_await asio::post(asio::use_awaitable);
    const auto until = deadline.value_or(ipc::Signal::kEver);
    while (slot->n_leases > 0 && slot->engine->alive() && WarmSet::Clock::now() < until) {
        co_await slot->idle.wait(until);
    }
    if (deadline) {
        const auto left = std::chrono::duration_cast<milliseconds>(*deadline - WarmSet::Clock::now());
        grace = std::max(left, milliseconds(0));
    }
    if (!co_await slot->engine->stop(grace)) {
        spdlog::warn("model {}: its engine did not end in time and was killed", slot->model);
    }
    slot->idle.notify();  // who waits without a deadline has nothing to wait for
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
      options_(engine_options(settings, std::move(executable))),
      keep_alive_(settings.model_keep_alive),
      file_check_(catalog, *files_, engine_shape(settings),
                  [this](const std::string& name, const ModelMemory& memory) {
                      return reason_not_to_fit(name, memory, models_, rules_.room);
                  }),
      usage_(pool, tuning_.usage_file) {
    rules_.room = room_for_models(settings);
    options_.load_timeout = tuning_.load_timeout.value_or(options_.load_timeout);
    options_.stall_timeout = tuning_.stall_timeout.value_or(options_.stall_timeout);
}

void WarmSet::live_on(const asio::any_io_executor& executor) {
    if (!executor_) executor_ = executor;
}

Result<WarmSet::Found> WarmSet::find(const std::string& name) {
    follow_pins();
    const auto file = catalog_.find(name);
    if (!file) {
        // Better what is there than nothing.
        const auto known = by_name_.find(name);
        if (known == by_name_.end()) return std::unexpected(file.error());
        return Found{known->second.model, {known->first, known->second.profile}};
    }
    if (file->remote) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("'{}' is a model of another server's ({}): it takes no place here, so that it is "
                                "neither loaded nor evicted, pinned or kept",
                                file->name, file->remote->upstream.empty() ? "models.toml" : file->remote->upstream),
                    "model");
    }
    WarmModel& model = model_of(*file);
    Known& known = by_name_[file->name];
    WarmModel* const before = std::exchange(known.model, &model);
    known.profile = file->profile;
    model.keep_alive = catalog::profile_of(*file).keep_alive;
    if (catalog::profile_of(*file).pinned.value_or(false)) model.pinned_by.insert(file->name);
    if (before != nullptr && before != &model) replace(*before, model);
    return Found{&model, {file->name, file->profile}};
}

WarmModel& WarmSet::model_of(const catalog::ModelFile& file) {
    auto& model = models_[file.engine];
    if (!model) {
        model = std::make_unique<WarmModel>(
            file.name, Backoff(tuning_.first_backoff, tuning_.longest_backoff, tuning_.stable_after));
        model->key = file.engine;
        model->choices = catalog::profile_of(file).load;
        if (const auto stamp = stamp_of(model->choices.projector)) model->projector_bytes = stamp->bytes;
        model->load_hint = catalog::profile_of(file).load_hint;
        model->renderer = catalog::profile_of(file).facts.renderer;
        if (catalog::profile_of(file).facts.has_draft) {
            spdlog::info("model {}: the draft model that comes with it is not used", file.name);
        }
        model->file.bytes = file.bytes;
        usage_.recall(*model, n_requests_, catalog_);
    }
    model->replaced = false;
    model->adapter_bytes = std::max(model->adapter_bytes, catalog::profile_of(file).adapter_bytes);
    return *model;
}

/// A name that stood for `old` stands for `now`.
void WarmSet::replace(WarmModel& old, WarmModel& now) {
    if (catalog_.find_engine(old.key) != nullptr) return;
    old.replaced = true;
    now.pinned = now.pinned || old.pinned;
    old.pinned = false;
    old.pinned_by.clear();
    if (now.use.requests == 0) now.use.popularity = old.use.popularity;
    old.displaced_until.reset();
    if (!old.slot || old.slot->stale) return;
    spdlog::info("model {}: is loaded anew, since what it is has changed", now.name);
    old.slot->stale = old.slot->leaving = old.slot->dismissed = true;
    arrange();
}

void WarmSet::follow_pins() {
    if (std::exchange(pins_of_, catalog_.generation()) == catalog_.generation()) return;
    for (const auto& [key, model] : models_) {
        std::erase_if(model->pinned_by, [&](const std::string& name) {
            const auto file = catalog_.find(name);
            return file && !catalog::profile_of(*file).pinned.value_or(false);
        });
    }
}

void WarmSet::count_use(WarmModel& model, Purpose purpose) {
    if (purpose != Purpose::kModestWarmUp) model.use.popularity.count(++n_requests_);
    if (purpose == Purpose::kRequest) model.use.last = std::chrono::system_clock::now();
}

std::size_t WarmSet::open_requests() const {
    std::size_t n = 0;
    for (const auto& [name, model] : models_) n += model->slot ? model->slot->engine->open_requests() : 0;
    for (const auto& slot : ending_) n += slot->engine->open_requests();
    return n;
}

// --- who waits

std::optional<Error> WarmSet::reason_to_refuse(WarmModel& model) {
    if (model.slot || model.load.running || !model.waiting.empty()) return std::nullopt;
    const auto now = Clock::now();
    if (model.failures.backoff.refuses(now)) {
        Error error = model.failures.last.value_or(Error{ErrorCode::kUnavailable, "it has failed"});
        error.retry_after_s = model.failures.backoff.retry_after_s(now);
        return error;
    }
    auto error = reason_not_to_fit(model.name, model.memory, models_, rules_.room);
    if (error) model.failures.last = error;
    return error;
}

void WarmSet::join(WarmModel& model, Waiter& waiter) {
    if (model.n_waiting() == 0) {
        model.waiting_since = Clock::now();
        const bool first =
            std::ranges::all_of(models_, [](const auto& entry) { return entry.second->n_waiting() == 0; });
        if (first) {
            for (const auto& [name, other] : models_) other->n_admitted = 0;
        }
    }
    model.waiting.push_back(&waiter);
    arrange();
}

void WarmSet::leave(WarmModel& model, Waiter& waiter) {
    std::erase(model.waiting, &waiter);
    if (!waiter.result) arrange();  // it may have been the last one
}

// --- who has a place

void WarmSet::arrange() {
    while (!closing()) {
        const auto now = Clock::now();
        settle_shared_weights(models_, ending_, n_requests_);
        std::vector<WarmModel*> models;
        std::vector<placement::Model> seen;
        models.reserve(models_.size());
        seen.reserve(models_.size());
        for (const auto& [name, model] : models_) {
            models.push_back(model.get());
            seen.push_back(model->seen(n_requests_, now));
        }
        const placement::Plan decided = placement::plan(seen, ending(), rules_, now);
        if (decided.actions.empty()) {
            standby_->adjust();
            return look_again(decided.look_again);
        }
        for (const placement::Action& action : decided.actions) carry_out(action.kind, *models[action.model]);
    }
}

placement::Room WarmSet::ending() const {
    placement::Room out;
    // The next engine need not wait for the end of one whose process it does not need: one that stands by is there.
    // One with leases keeps its process for as long as they last.
    const auto n_busy =
        static_cast<std::size_t>(std::ranges::count_if(ending_, [](const auto& slot) { return slot->n_leases > 0; }));
    const std::size_t n_about_to_end = ending_.size() - n_busy;
    out.places = n_busy + n_about_to_end - std::min(n_about_to_end, standby_->size());
    for (const auto& slot : ending_) out.bytes += std::max<std::uint64_t>(slot->own_bytes(slot->measured_bytes), 1);
    return out;
}

void WarmSet::carry_out(placement::Action::Kind kind, WarmModel& model) {
    using Kind = placement::Action::Kind;
    switch (kind) {
        case Kind::kLoad: start_engine(model); break;
        case Kind::kSucceed:
            spdlog::info("model {}: {} running requests finish with the old file", model.name, model.slot->n_leases);
            end_engine(model);
            start_engine(model);
            break;
        case Kind::kEvict:
            spdlog::info("model {}: makes room for another", model.name);
            ++model.moves.evictions;
            model.displaced_until = model.slot->unload_at.value_or(Clock::time_point::max());
            end_engine(model);
            break;
        case Kind::kUnload:
            spdlog::info("model {}: is unloaded", model.name);
            ++model.moves.unloads;
            // Memory that was given back on purpose is not filled again by itself.
            if (!model.slot->stale) {
                for (const auto& [name, other] : models_) other->displaced_until.reset();
            }
            end_engine(model);
            break;
        case Kind::kLeave: model.slot->leaving = true; break;
        case Kind::kStay:
            model.slot->leaving = false;
            model.grant_all(keep_alive_);
            break;
        case Kind::kRefuse:
            model.refuse_all({ErrorCode::kUnavailable,
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

/// Nothing loads, runs or ends.
bool WarmSet::quiet() const {
    return ending_.empty() && std::ranges::none_of(models_, [](const auto& entry) {
               const WarmModel& model = *entry.second;
               return model.load.running || !model.waiting.empty() || (model.slot && model.slot->n_leases > 0);
           });
}

/// What the models that are warm, load or end leave of the memory.
std::uint64_t WarmSet::free_bytes() const {
    std::uint64_t free = rules_.room.bytes;
    const auto take = [&](std::uint64_t bytes) { free -= std::min(free, bytes); };
    take(ending().bytes);
    for (const auto& [name, model] : models_) {
        if (model->load.running || model->slot) take(model->seen(n_requests_, Clock::now()).bytes);
    }
    return free;
}

bool WarmSet::has_engines() const {
    return !ending_.empty() || std::ranges::any_of(models_, [](const auto& entry) {
        return entry.second->load.running || entry.second->slot;
    });
}

// --- what becomes of engines

void WarmSet::start_engine(WarmModel& model) {
    ipc::EngineOptions options = options_;
    options.model_name = model.name;
    options.arguments = {"--name", model.name};
    options.arguments.insert(options.arguments.end(), tuning_.engine_arguments.begin(), tuning_.engine_arguments.end());
    options.path = model.file.path;
    options.projector = model.choices.projector;
    options.context_tokens = model.file.context_tokens;
    options.kv_type = model.choices.kv_type;
    options.own_template = model.choices.chat_template;
    options.renderer = model.renderer;
    if (!model.choices.fallback_template.empty()) options.chat_template = model.choices.fallback_template;
    options.architecture = model.file.architecture;
    options.vocabulary = model.file.vocabulary;
    options.share_weights = options.share_weights && may_have_siblings(model, catalog_);
    if (options.share_weights) options.siblings = siblings_of(model, models_, ending_);
    model.load_begins();
    const auto progress = [weak = weak_from_this(), &model](ipc::LoadProgress now) {
        if (const auto self = weak.lock()) model.load.progress = now;
    };
    const auto started = [self = shared_from_this(), &model](const std::exception_ptr& thrown,
                                                             Result<ipc::OwnedEngine> engine) {
        if (thrown) engine = fail(ErrorCode::kInternal, text_of(thrown));
        self->on_started(model, std::move(engine));
    };
    asio::co_spawn(executor_, start_later(std::move(options), progress, standby_->take()),
                   asio::bind_cancellation_slot(model.load.cancel.slot(), started));
}

void WarmSet::on_started(WarmModel& model, Result<ipc::OwnedEngine> engine) {
    model.load.running = false;
    if (engine && !closing()) return on_loaded(model, std::move(*engine));
    model.refuse_all(closing() ? shutting_down() : model.load_failed(std::move(engine.error())));
    free_place();
}

void WarmSet::on_loaded(WarmModel& model, ipc::OwnedEngine engine) {
    model.loaded(std::move(engine), keep_alive_);
    model.slot->on_idle = [weak = weak_from_this(), &model](const std::shared_ptr<EngineSlot>& idle) {
        if (const auto self = weak.lock()) self->on_idle(model, idle);
    };
    const EngineSlot* const slot = model.slot.get();
    slot->engine->on_exit([weak = weak_from_this(), &model, slot](bool, const std::string& why) {
        if (const auto self = weak.lock()) self->on_engine_exit(model, slot, why);
    });
    model.grant_all(keep_alive_);
    model.n_admitted = 0;
    if (model.replaced) model.slot->stale = model.slot->leaving = model.slot->dismissed = true;
    usage_.write(usage_now());
    arrange();
}

void WarmSet::on_engine_exit(WarmModel& model, const EngineSlot* slot, const std::string& why) {
    if (model.slot.get() != slot) return;  // it was told to
    model.crashed(why);
    free_place();
}

void WarmSet::on_idle(WarmModel& model, const std::shared_ptr<EngineSlot>& slot) {
    slot->begins_to_idle(Clock::now());
    if (model.slot == slot) model.measure();
    if (usage_.is_due() && !draining_) usage_.write(usage_now());
    arrange();
}

void WarmSet::end_engine(WarmModel& model, std::optional<Clock::time_point> deadline) {
    const std::shared_ptr<EngineSlot> slot = model.end_begins();
    ending_.push_back(slot);
    if (!draining_) usage_.write(usage_now());
    asio::co_spawn(executor_, stop(slot, tuning_.eviction_deadline, deadline),
                   [self = shared_from_this(), &model, slot](const std::exception_ptr& thrown) {
                       if (thrown) spdlog::error("model {}: its end failed: {}", model.name, text_of(thrown));
                       self->on_ended(model, slot);
                   });
}

void WarmSet::on_ended(WarmModel& model, const std::shared_ptr<EngineSlot>& slot) {
    std::erase(ending_, slot);
    model.ended(slot);
    free_place();
}

void WarmSet::free_place() {
    engine_gone_.notify();
    arrange();
}

// --- the end of all

Error WarmSet::shutting_down() {
    return {ErrorCode::kUnavailable, "the server is shutting down"};
}

void WarmSet::drain(Clock::time_point deadline) {
    draining_ = true;
    file_check_.stop();
    standby_->close();
    files_->stop();
    look_again(std::nullopt);
    for (const auto& slot : ending_) {
        asio::co_spawn(executor_, stop(slot, tuning_.eviction_deadline, deadline), [](const std::exception_ptr&) {});
    }
    for (const auto& [name, model] : models_) {
        model->refuse_all(shutting_down());
        if (model->load.running) model->load.cancel.emit(asio::cancellation_type::terminal);
        if (model->slot) end_engine(*model, deadline);
    }
}

void WarmSet::close() {
    closed_ = true;
    file_check_.stop();
    standby_->close();
    files_->stop();
    timer_.reset();
    for (const auto& [name, model] : models_) {
        model->refuse_all(shutting_down());
        if (model->load.running) model->load.cancel.emit(asio::cancellation_type::terminal);
        model->slot.reset();
    }
}

}  // namespace sutazai::models
