#include "ipc/engine_host.h"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "engine/engine.h"
#include "ipc/frame.h"
#include "ipc/process.h"
#include "ipc/wire.h"
#include "proto/engine.pb.h"

namespace sutazai::engine_host {
namespace {

/// Frames on their way to the server. Anybody may add; one thread writes, so that a slow server holds up nobody else.
class Outbox {
  public:
    explicit Outbox(int fd) : fd_(fd), thread_([this] { write_loop(); }) {}
    ~Outbox() {
        flush();
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
    }
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    void send(const wire::FromEngine& message) {
        {
            const std::lock_guard lock(mutex_);
            if (const auto appended = ipc::append_frame(pending_, message); !appended) {
                spdlog::error("a frame was not sent: {}", appended.error().message);
            }
        }
        changed_.notify_all();
    }
    /// Returns when all that was sent is with the kernel, or the server is gone.
    void flush() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return broken_ || (pending_.empty() && !writing_); });
    }

  private:
    void write_loop() {
        std::string batch;
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [&] { return stopping_ || !pending_.empty(); });
            if (pending_.empty()) return;
            batch.swap(pending_);
            writing_ = true;
            lock.unlock();
            const bool written = ipc::write_all(fd_, batch).has_value();
            batch.clear();
            lock.lock();
            writing_ = false;
            broken_ |= !written;
            changed_.notify_all();
            if (broken_) return;
        }
    }

    int fd_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string pending_;
    bool writing_ = false;
    bool broken_ = false;
    bool stopping_ = false;
    std::jthread thread_;
};

wire::FromEngine to_wire(const engine::StepReport& report) {
    wire::FromEngine message;
    wire::StepOutput& step = *message.mutable_step();
    for (const auto& [id, update] : report.updates) {
        if (!update.scores.empty() || !update.embedding.empty()) {
            *step.add_deltas() = ipc::to_wire(id, update);
        } else if (!update.text.empty() || update.n_tokens > 0) {
            wire::Delta& delta = *step.add_deltas();
            delta.set_request_id(id);
            delta.set_text(update.text);
            delta.set_n_tokens(update.n_tokens);
        }
        if (update.finished) *step.add_finished() = ipc::to_wire(id, *update.finished);
        if (update.error) *step.add_failed() = ipc::to_wire(id, *update.error);
    }
    if (report.stats) {
        wire::Stats& stats = *step.mutable_stats();
        stats.set_running(static_cast<std::uint32_t>(report.stats->running));
        stats.set_waiting(static_cast<std::uint32_t>(report.stats->waiting));
        stats.set_kv_cells_used(static_cast<std::uint32_t>(report.stats->kv_cells_used));
        stats.set_kv_cells(static_cast<std::uint32_t>(report.stats->kv_cells));
        stats.set_prompt_tokens(report.stats->prompt_tokens);
        stats.set_generation_tokens(report.stats->generation_tokens);
        stats.set_cached_tokens(report.stats->cached_tokens);
        stats.set_steps(report.stats->steps);
        stats.set_step_us(report.stats->step_us);
        stats.set_restored_tokens(report.stats->restored_tokens);
        stats.set_preemptions(report.stats->preemptions);
        stats.set_host_bytes(report.stats->host_bytes);
        stats.set_width(static_cast<std::uint32_t>(report.stats->width));
        stats.set_prefixes(static_cast<std::uint32_t>(report.stats->prefixes));
        stats.set_artifacts(report.stats->artifacts);
        stats.set_artifact_bytes(report.stats->artifact_bytes);
        stats.set_artifact_tokens(report.stats->artifact_tokens);
    }
    return message;
}

Result<std::unique_ptr<llama::Model>> load(const wire::Load& load, Outbox& outbox) {
    llama::LoadOptions options;
    options.path = load.path();
    options.context_tokens = load.context_tokens();
    options.batch_size = load.batch_size();
    options.max_sequences = std::max(load.batch_size(), load.batch_size_max());
    options.batch_tokens = load.batch_tokens();
    options.threads = load.threads();
    options.gpu = load.gpu();
    options.architecture = load.architecture();
    options.vocabulary = load.vocabulary();
    int last_percent = -1;
    const auto since = std::chrono::steady_clock::now();
    const auto ms = [&] {
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count();
    };
    auto model = llama::Model::load(options, [&](float fraction) {
        if (const int percent = static_cast<int>(fraction * 100); percent != last_percent) {
            last_percent = percent;
            wire::FromEngine message;
            message.mutable_progress()->set_fraction(fraction);
            outbox.send(message);
        }
    });
    if (model && load.warmup()) {
        wire::FromEngine message;
        message.mutable_progress()->set_fraction(1);
        message.mutable_progress()->set_warming(true);
        outbox.send(message);
        // On a thread that ends here: OpenMP keeps a team for each thread that has computed, and once there are more of
        // its threads than processors, every barrier sleeps instead of spinning. That halves the decode rate.
        spdlog::debug("loaded after {:.1f} ms", ms());
        std::jthread([&] { (*model)->warm_up(); }).join();
        spdlog::debug("warmed up after {:.1f} ms", ms());
    }
    return model;
}

wire::FromEngine loaded_message(const llama::Model::Properties& p, std::chrono::microseconds took) {
    wire::FromEngine message;
    wire::Loaded& loaded = *message.mutable_loaded();
    loaded.set_context_tokens(static_cast<std::uint32_t>(p.kv_cells));
    loaded.set_context_per_sequence(static_cast<std::uint32_t>(p.context_per_sequence));
    loaded.set_training_context(static_cast<std::uint32_t>(p.training_context));
    loaded.set_weights_bytes(p.weights_bytes);
    loaded.set_parameters(p.parameters);
    loaded.set_description(p.description);
    loaded.set_on_gpu(p.on_gpu);
    loaded.set_has_chat_template(p.has_chat_template);
    loaded.set_untouched_bytes(p.untouched_bytes);
    loaded.set_load_us(static_cast<std::uint64_t>(took.count()));
    return message;
}

wire::CacheReport to_wire(std::uint64_t id, const Result<engine::ArtifactReport>& done) {
    if (done)
        return ipc::to_wire(id, ipc::CacheReport{done->saved, done->loaded, done->removed, done->bytes, done->problem});
    wire::CacheReport report;
    report.set_id(id);
    report.set_message(done.error().message);
    return report;
}

/// Works on artifacts beside everything else, one order after the other. An order that still waits at the end is not
/// carried out: its server has stopped listening.
class ArtifactWorker {
  public:
    ArtifactWorker(engine::Engine& engine, Outbox& outbox)
        : engine_(engine), outbox_(outbox), thread_([this](const std::stop_token& stop) { work(stop); }) {}

    void add(std::uint64_t id, engine::ArtifactAction action) {
        {
            const std::lock_guard lock(mutex_);
            orders_.emplace_back(id, action);
        }
        changed_.notify_one();
    }

  private:
    void work(const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        while (changed_.wait(lock, stop, [&] { return !orders_.empty(); })) {
            const auto [id, action] = orders_.front();
            orders_.pop_front();
            lock.unlock();
            wire::FromEngine message;
            *message.mutable_cache_report() = to_wire(id, engine_.artifacts(action));
            outbox_.send(message);
            lock.lock();
            if (stop.stop_requested()) return;
        }
    }

    engine::Engine& engine_;
    Outbox& outbox_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<std::pair<std::uint64_t, engine::ArtifactAction>> orders_;
    std::jthread thread_;
};

}  // namespace

int run(int fd, const std::function<void(const std::string&)>& on_name) {
    ::prctl(PR_SET_NAME, "standby");
    llama::Model::prepare_process();
    ipc::FrameReader reader(fd);
    Outbox outbox(fd);

    // The next message; null when the server is gone or speaks nonsense.
    wire::ToEngine message;
    const auto read = [&]() -> bool {
        const auto payload = reader.read();
        if (!payload || !*payload) return false;
        return message.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size()));
    };

    if (!read()) return 0;
    if (message.kind_case() != wire::ToEngine::kLoad) return 2;
    const wire::Load options = message.load();
    {
        wire::FromEngine taken;
        taken.mutable_progress();
        outbox.send(taken);
    }
    ::prctl(PR_SET_NAME, ("engine:" + options.name()).c_str());  // cut to 15 bytes
    if (on_name) on_name(options.name());
    const auto began = std::chrono::steady_clock::now();
    Result<std::unique_ptr<llama::Model>> model = load(options, outbox);
    if (!model) {
        wire::FromEngine failed;
        failed.mutable_load_failed()->set_message(model.error().message);
        outbox.send(failed);
        return 1;
    }
    const auto took = std::chrono::steady_clock::now() - began;
    outbox.send(loaded_message((*model)->properties(), std::chrono::duration_cast<std::chrono::microseconds>(took)));

    engine::EngineConfig config;
    config.batch_size = options.batch_size();
    config.batch_size_max = options.batch_size_max();
    config.companion_hold = std::chrono::milliseconds(options.batch_hold_ms());
    config.queue_timeout = std::chrono::milliseconds(options.queue_timeout_ms());
    config.batch_tokens = options.batch_tokens();
    config.queue_limit = options.queue_limit();
    config.token_gap = std::chrono::milliseconds(options.token_gap_ms());
    config.share_prefixes = options.share_prefixes();
    config.prefix_cache_bytes = options.prefix_cache_bytes();
    if (options.artifact_bytes() > 0) config.artifacts.folder = options.artifact_folder();
    config.artifacts.byte_limit = options.artifact_bytes();
    config.artifacts.retention = std::chrono::hours(24) * options.artifact_retention_days();
    config.artifacts.model_path = options.path();
    config.on_changed_file = [&outbox] {
        spdlog::error("the model file was written to while it was in use");
        outbox.flush();  // answers of earlier steps are good ones
        std::_Exit(ipc::kChangedFileExit);
    };
    engine::Engine engine(std::move(*model), config,
                          [&](const engine::StepReport& report) { outbox.send(to_wire(report)); });
    ArtifactWorker artifacts(engine, outbox);
    std::jthread drainer;
    bool sane = true;
    while (sane && read()) {
        switch (message.kind_case()) {
            case wire::ToEngine::kSubmit: {
                const RequestId id = message.submit().request_id();
                engine.submit(id, ipc::from_wire(std::move(*message.mutable_submit())));
                break;
            }
            case wire::ToEngine::kCancel: engine.cancel(message.cancel().request_id()); break;
            case wire::ToEngine::kSaveState:
                artifacts.add(message.save_state().id(), engine::ArtifactAction::kSave);
                break;
            case wire::ToEngine::kRestoreState:
                artifacts.add(message.restore_state().id(), engine::ArtifactAction::kRestore);
                break;
            case wire::ToEngine::kPruneState:
                artifacts.add(message.prune_state().id(), engine::ArtifactAction::kPrune);
                break;
            case wire::ToEngine::kDrain:
                // Cancels still come meanwhile, so this thread goes on reading until the socket is shut.
                if (!drainer.joinable()) {
                    drainer = std::jthread([&] {
                        engine.wait_until_idle();
                        // What is kept now is there again after a restart. The server does not wait for ever.
                        const auto saved =
                            engine.artifacts(engine::ArtifactAction::kSave, std::chrono::milliseconds(100));
                        if (saved && !saved->problem.empty()) spdlog::warn("at the end: {}", saved->problem);
                        outbox.flush();
                        ::shutdown(fd, SHUT_RDWR);
                    });
                }
                break;
            default:
                spdlog::error("a message of an unknown kind came from the server");
                sane = false;
                break;
        }
    }
    engine.stop();
    return sane ? 0 : 2;
}

}  // namespace sutazai::engine_host
