#include "ipc/engine_host.h"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "ipc/frame.h"
#include "ipc/order_queue.h"
#include "ipc/outbox.h"
#include "ipc/process.h"
#include "ipc/step_frames.h"
#include "ipc/wire.h"
#include "llama/model.h"
#include "proto/engine.pb.h"

namespace sutazai::engine_host {
namespace {

using ipc::OrderQueue;
using ipc::Outbox;
using ipc::StepFrames;

// Exit codes.
constexpr int kNonsense = 2;  // the server said what has no sense
constexpr int kBroken = 70;   // a thread died

constexpr std::chrono::seconds kLastWordPatience{1};
constexpr std::chrono::milliseconds kSavePatience{100};

Result<std::unique_ptr<llama::Model>> load(const ipc::EngineOptions& wanted, Outbox& outbox) {
    llama::LoadOptions options;
    options.path = wanted.path;
    options.projector = wanted.projector;
    options.context_tokens = wanted.context_tokens;
    options.batch_size = wanted.batch_size;
    options.max_sequences = std::max(wanted.batch_size, wanted.batch_size_max);
    options.batch_tokens = wanted.batch_tokens;
    options.threads = wanted.threads;
    options.gpu = wanted.gpu;
    options.architecture = wanted.architecture;
    options.kv_type = wanted.kv_type;
    options.adapter_bytes = wanted.adapter_bytes;
    options.templates = {wanted.own_template, wanted.chat_template, wanted.renderer};
    options.control_tokens_in_messages = wanted.control_tokens_in_messages;
    options.vocabulary = wanted.vocabulary;
    options.share_weights = wanted.share_weights;
    for (const auto& [pid, fd, name] : wanted.siblings) options.siblings.push_back({pid, fd, name});
    if (wanted.artifact_bytes > 0) options.artifacts_dir = wanted.artifacts_dir;
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
    if (model && wanted.warmup) {
        wire::FromEngine message;
        message.mutable_progress()->set_fraction(1);
        message.mutable_progress()->set_warming(true);
        outbox.send(message);
        // On a thread that ends here: OpenMP keeps a team for each thread that has computed, and once there are more of
        // its threads than processors, every barrier sleeps instead of spinning. That halves the decode rate.
        spdlog::debug("loaded after {:.1f} ms", ms());
        std::async(std::launch::async, [&] { (*model)->warm_up(); }).get();
        spdlog::debug("warmed up after {:.1f} ms", ms());
    }
    return model;
}

wire::FromEngine loaded_message(const llama::Model::Properties& p, std::chrono::microseconds took) {
    ipc::ModelInfo info;
    info.context_tokens = static_cast<std::uint32_t>(p.kv_cells);
    info.context_per_sequence = static_cast<std::uint32_t>(p.context_per_sequence);
    info.training_context = static_cast<std::uint32_t>(p.training_context);
    info.weights_bytes = p.weights_bytes;
    info.parameters = p.parameters;
    info.description = p.description;
    info.on_gpu = p.on_gpu;
    info.has_chat_template = p.has_chat_template;
    info.knows_tools = p.knows_tools;
    info.thinks = p.thinks;
    info.sees = p.sees;
    info.untouched_bytes = p.untouched_bytes;
    info.shared = {p.shared.fd, p.shared.id, p.shared.bytes, p.shared.sibling};
    info.load_time = took;
    wire::FromEngine message;
    *message.mutable_loaded() = ipc::to_wire(info);
    return message;
}

engine::EngineConfig config_of(const ipc::EngineOptions& options) {
    engine::EngineConfig config;
    config.batch_size = options.batch_size;
    config.batch_size_max = options.batch_size_max;
    config.batch_timeout = std::chrono::milliseconds(options.batch_timeout_ms);
    config.queue_timeout = std::chrono::milliseconds(options.queue_timeout_ms);
    config.batch_tokens = options.batch_tokens;
    config.max_queue = options.max_queue;
    config.token_gap = std::chrono::milliseconds(options.token_gap_ms);
    config.prefix_sharing = options.prefix_sharing;
    config.prefix_cache_bytes = options.prefix_cache_bytes;
    if (options.artifact_bytes > 0) config.artifacts.artifacts_dir = options.artifacts_dir;
    config.artifacts.byte_limit = options.artifact_bytes;
    config.artifacts.retention = std::chrono::hours(24) * options.artifact_retention_days;
    config.artifacts.model_path = options.path;
    config.artifacts.tensor_digests = options.share_weights;
    return config;
}

wire::FromEngine pong(const engine::Engine& engine) {
    wire::FromEngine message;
    wire::Pong& answer = *message.mutable_pong();
    for (const engine::Work& work : engine.works()) {
        wire::Work& busy = *answer.add_busy();
        busy.set_what(work.what);
        busy.set_progress(work.progress);
    }
    return message;
}

wire::ArtifactReport to_wire(std::uint64_t id, const Result<ArtifactReport>& done) {
    if (done) return ipc::to_wire(id, *done);
    wire::ArtifactReport report;
    report.set_id(id);
    report.set_refused(true);
    report.set_problem(done.error().message);
    return report;
}

OrderQueue::Order artifact_order(engine::Engine& engine, Outbox& outbox, std::uint64_t id, ArtifactAction action) {
    const auto answer = [&outbox, id](const Result<ArtifactReport>& done) {
        wire::FromEngine message;
        *message.mutable_artifact_report() = to_wire(id, done);
        outbox.send(message);
    };
    return {[&engine, action, answer] { answer(engine.artifacts(action)); },
            [answer](const std::string& why) { answer(fail(ErrorCode::kUnavailable, why)); }};
}

/// The engine's last word, on whichever thread. What is in its memory cannot be relied on any more.
[[noreturn]] void die(Outbox& outbox, const std::string& why) {
    spdlog::critical("the engine ends: {}", why);
    try {
        wire::FromEngine message;
        message.mutable_broken()->set_message(why);
        outbox.send(message);
        outbox.flush(kLastWordPatience);
    } catch (const std::exception& e) {
        spdlog::critical("the server was not told: {}", e.what());
    }
    std::_Exit(kBroken);
}

class Host {
  public:
    Host(int fd, const std::function<void(const std::string&)>& on_name)
        : fd_(fd), on_name_(on_name), reader_(fd), outbox_(fd) {}

    /// The process's exit code.
    int run() {
        try {
            return serve();
        } catch (const std::exception& e) {
            die(outbox_, std::string("the reading thread: ") + e.what());
        }
    }

  private:
    /// The next message into message_; false when the server is gone or speaks nonsense.
    bool read() {
        const auto payload = reader_.read();
        if (!payload || !*payload) return false;
        return message_.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size()));
    }

    int serve() {
        if (!read()) return 0;
        if (message_.kind_case() != wire::ToEngine::kLoad) return kNonsense;
        const ipc::EngineOptions options = ipc::from_wire(message_.load());
        {
            wire::FromEngine taken;
            taken.mutable_progress();
            outbox_.send(taken);
        }
        ::prctl(PR_SET_NAME, ("engine:" + options.model_name).c_str());  // cut to 15 bytes
        if (on_name_) on_name_(options.model_name);
        const auto began = std::chrono::steady_clock::now();
        Result<std::unique_ptr<llama::Model>> model = load(options, outbox_);
        if (!model) {
            wire::FromEngine failed;
            failed.mutable_load_failed()->set_message(model.error().message);
            outbox_.send(failed);
            return 1;
        }
        const auto took = std::chrono::steady_clock::now() - began;
        outbox_.send(
            loaded_message((*model)->properties(), std::chrono::duration_cast<std::chrono::microseconds>(took)));
        engine::EngineConfig config = config_of(options);
        config.on_changed_file = [this] {
            spdlog::error("the model file was written to while it was in use");
            outbox_.flush();  // answers of earlier steps are good ones
            std::_Exit(ipc::kChangedFileExit);
        };
        engine::Engine engine(
            std::move(*model), config, [&](engine::StepReport report) { send(std::move(report), engine); },
            [&](const std::string& why) { die(outbox_, why); });
        OrderQueue orders;
        const bool sane = take_all(engine, orders);
        engine.stop();
        return sane ? 0 : kNonsense;
    }

    void send(engine::StepReport report, engine::Engine& engine) {
        std::optional<wire::Stats> stats;
        if (report.stats) stats = ipc::to_wire(*report.stats);
        StepFrames frames = ipc::step_frames(std::move(report.updates), stats ? &*stats : nullptr);
        for (const auto& [id, prompt] : report.prompts) {
            *frames.messages.front().mutable_step()->add_prompts() = ipc::to_wire(id, prompt);
        }
        for (const wire::FromEngine& message : frames.messages) outbox_.send(message);
        for (const RequestId id : frames.failed) engine.cancel(id);
    }

    /// Until the server is gone; false when it has said what has no sense.
    bool take_all(engine::Engine& engine, OrderQueue& orders) {
        while (read()) {
            switch (message_.kind_case()) {
                case wire::ToEngine::kSubmit: {
                    const RequestId id = message_.submit().request_id();
                    engine.submit(id, ipc::from_wire(std::move(*message_.mutable_submit())));
                    break;
                }
                case wire::ToEngine::kCancel: engine.cancel(message_.cancel().request_id()); break;
                case wire::ToEngine::kArtifactOrder:
                    orders.add(artifact_order(engine, outbox_, message_.artifact_order().id(),
                                              static_cast<ArtifactAction>(message_.artifact_order().action())));
                    break;
                case wire::ToEngine::kPing: outbox_.send(pong(engine)); break;
                // Cancels and pings still come meanwhile, so this thread goes on reading until the socket is shut.
                case wire::ToEngine::kDrain: orders.add_last(drain_order(engine)); break;
                default: spdlog::error("a message of an unknown kind came from the server"); return false;
            }
        }
        return true;
    }

    OrderQueue::Order drain_order(engine::Engine& engine) {
        const auto end = [this] {
            outbox_.flush();
            ::shutdown(fd_, SHUT_RDWR);
        };
        return {[&engine, end] {
                    engine.wait_until_idle();
                    // What is kept now is there again after a restart. The server does not wait for ever.
                    const auto saved = engine.artifacts(ArtifactAction::kSave, kSavePatience);
                    if (saved && !saved->problem.empty()) spdlog::warn("at the end: {}", saved->problem);
                    end();
                },
                [end](const std::string& why) {
                    spdlog::warn("the engine is not drained as it should be: {}", why);
                    end();
                }};
    }

    int fd_;
    const std::function<void(const std::string&)>& on_name_;
    ipc::FrameReader reader_;
    wire::ToEngine message_;
    Outbox outbox_;
};

}  // namespace

int run(int fd, const std::function<void(const std::string&)>& on_name) {
    ::prctl(PR_SET_NAME, "standby");
    llama::Model::prepare_process();
    return Host(fd, on_name).run();
}

}  // namespace sutazai::engine_host
