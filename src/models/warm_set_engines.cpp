// What becomes of the engines of a WarmSet: started, loaded, measured, failed.
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
#include "models/process_memory.h"
#include "models/warm_set.h"

namespace sutazai::models {

namespace asio = boost::asio;
using ipc::EngineClient;

namespace {

constexpr std::chrono::seconds kBetweenMeasurements{1};
/// Of the difference, when an engine took less than engines of its model before it did.
constexpr std::int64_t kForgottenShare = 8;

/// Starts the engine in a turn of its own, so that its failure does not come back into the middle of what starts it.
asio::awaitable<Result<ipc::OwnedEngine>> start_later(ipc::EngineOptions options,
                                                      std::function<void(ipc::LoadProgress)> progress,
                                                      ipc::OwnedEngine standby) {
    co_await asio::post(asio::use_awaitable);
    co_return co_await EngineClient::start(std::move(options), std::move(progress), std::move(standby));
}

}  // namespace

void WarmSet::start_engine(Model& model) {
    model.loading = true;
    model.progress = {};
    model.loading_since = Clock::now();
    ipc::EngineOptions options = options_;
    options.model_name = model.name;
    options.arguments = {"--name", model.name};
    options.arguments.insert(options.arguments.end(), tuning_.engine_arguments.begin(), tuning_.engine_arguments.end());
    options.path = model.path;
    options.architecture = model.architecture;
    options.vocabulary = model.vocabulary;
    model.loading_stamps = model.stamps;
    model.file_note.clear();
    spdlog::info("model {}: loading, about {}", model.name, byte_text(expected_bytes(model)));
    asio::co_spawn(executor_,
                   start_later(
                       std::move(options),
                       [weak = weak_from_this(), &model](ipc::LoadProgress progress) {
                           if (const auto self = weak.lock()) model.progress = progress;
                       },
                       standby_->take()),
                   asio::bind_cancellation_slot(
                       model.cancel_load.slot(), [self = shared_from_this(), &model](const std::exception_ptr& thrown,
                                                                                     Result<ipc::OwnedEngine> engine) {
                           model.loading = false;
                           if (self->draining_ || self->closed_) {
                               refuse_all(model, {ErrorCode::kUnavailable, "the server is shutting down"});
                           } else if (thrown) {
                               refuse_all(model, self->on_load_failed(model, {ErrorCode::kInternal, text_of(thrown)}));
                           } else if (engine) {
                               self->on_loaded(model, std::move(*engine));
                               return;
                           } else {
                               refuse_all(model, self->on_load_failed(model, std::move(engine.error())));
                           }
                           self->free_place();
                       }));
}

void WarmSet::on_loaded(Model& model, ipc::OwnedEngine engine) {
    auto slot = std::make_shared<Slot>();
    slot->model = model.name;
    slot->owner = weak_from_this();
    slot->loaded_at = slot->idle_since = Clock::now();
    // Who loads it without using it wants it to be there for a while.
    slot->keep_alive = keep_alive_.count() == 0 ? kKeepForEver : keep_alive_;
    if (slot->keep_alive.count() > 0) slot->unload_at = slot->loaded_at + slot->keep_alive;
    if (model.displaced_until && *model.displaced_until != Clock::time_point::max()) {
        slot->unload_at = *model.displaced_until;
    }
    model.displaced_until.reset();
    slot->stamps = std::move(model.loading_stamps);
    slot->engine = std::move(engine);
    slot->engine->on_exit([weak = weak_from_this(), &model, slot = slot.get()](bool, const std::string& why) {
        if (const auto self = weak.lock()) self->on_engine_exit(model, slot, why);
    });
    model.load_time = slot->loaded_at - model.loading_since;
    model.slot = std::move(slot);
    model.last_error.reset();
    measure(model, *model.slot);
    spdlog::info("model {}: warm after {} ms, engine process {}, {}", model.name,
                 std::chrono::duration_cast<std::chrono::milliseconds>(model.load_time).count(),
                 model.slot->engine->pid(), byte_text(model.slot->measured_bytes));
    give_leases(model);
    model.n_admitted = 0;
    remember();
    arrange();
}

/// The most that an engine of the model took corrects the estimate of the next one; what is less does so slowly.
void WarmSet::measure(Model& model, Slot& slot) {
    const auto now = Clock::now();
    const bool first = slot.measured_bytes == 0;
    if (!first && now < slot.measured_at + kBetweenMeasurements) return;
    const auto taken = memory_of(slot.engine->pid());
    if (!taken || taken->total() == 0) return;
    slot.measured_at = now;
    slot.measured_bytes = std::max(slot.measured_bytes, taken->total());
    // KV memory that is there for the engine and that it will touch in time.
    if (first) slot.measured_bytes += slot.engine->info().untouched_bytes;
    // Prefixes in host memory come and go with use; the next engine begins without.
    std::uint64_t own = taken->total() - std::min(taken->total(), slot.engine->stats().host_bytes);
    if (first) own += slot.engine->info().untouched_bytes;
    const std::int64_t beyond = static_cast<std::int64_t>(own) - static_cast<std::int64_t>(model.estimate.total());
    if (!model.correction || beyond > *model.correction) {
        model.correction = beyond;
    } else if (first) {
        *model.correction -= (*model.correction - beyond) / kForgottenShare;
    }
}

/// Returns what to tell those who asked.
Error WarmSet::on_load_failed(Model& model, Error error) {
    const auto now = Clock::now();
    model.backoff.load_failed(now);
    model.displaced_until.reset();
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
    ++model.crashes;
    model.last_crash = why;
    model.backoff.crashed(now, now - slot->loaded_at);
    model.last_error = Error{ErrorCode::kUnavailable, why};
    const std::shared_ptr<Slot> dead = std::exchange(model.slot, nullptr);
    model.past.add_counters(dead->engine->stats());
    dead->ended = true;
    dead->gone.notify();
    if (model.backoff.refuses(now)) {
        Error error = *model.last_error;
        error.retry_after_s = model.backoff.retry_after_s(now);
        refuse_all(model, error);
    }
    free_place();
}

}  // namespace sutazai::models
