#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/artifact_orders.h"
#include "engine/artifact_traffic.h"
#include "engine/engine_config.h"
#include "engine/engine_state.h"
#include "engine/generations.h"
#include "engine/guarded_thread.h"
#include "engine/host_states.h"
#include "engine/mailbox.h"
#include "engine/preparation.h"
#include "engine/side_work.h"
#include "engine/slow_draws.h"
#include "engine/step_report.h"

namespace sutazai::engine {

/// What a thread is at, and a number that is another one as soon as it has got on.
struct Work {
    const char* what;
    std::uint64_t progress;
};

/// Serves one model. Wires the threads: three prepare requests (preparation.h), one plans, decodes and samples
/// (decode_loop()), one draws what takes long (slow_draws.h), one has the disk (artifact_keeper.h). What they have for
/// the decode thread goes through the mailbox; nothing on it ever waits for a reader.
class Engine {
  public:
    /// `report` is called on any of them and must not block. `on_death` is called on a thread that dies.
    Engine(std::unique_ptr<Model> model, const EngineConfig& config, std::function<void(StepReport)> report,
           const OnDeath& on_death = end_process);
    ~Engine();  ///< stop(), and waits for the threads
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Any thread; none of these waits for a step.

    /// Its `n` answers are the requests `id` to `id` + n - 1. Errors come as updates. Ids must not repeat.
    void submit(RequestId id, GenerationRequest request);
    /// Unknown and ended ids are ignored. The sequence is freed by the next step; a step that mostly computes this
    /// request's prompt is cut short. No update follows.
    void cancel(RequestId id);
    /// Saves the kept prefixes as artifacts, restores artifacts into kept prefixes, or removes what is too old. Waits
    /// for it: call it on a thread that nothing waits for. One call at a time. The error says why it could not.
    /// Waits up to `patience` for the folder, which is not ready before the weights have been hashed once.
    [[nodiscard]] Result<ArtifactReport> artifacts(ArtifactAction action,
                                                   std::chrono::milliseconds patience = std::chrono::seconds(10));
    /// What the threads that do not wait for work are at, to see from one call to the next that they get on.
    [[nodiscard]] std::vector<Work> works() const;
    /// Returns when nothing is open, or after stop(). New requests should have stopped.
    void wait_until_idle();
    /// Ends the threads soon; open requests get nothing more.
    void stop();

    [[nodiscard]] const Model& model() const { return *state_.model; }

  private:
    // Decode thread.
    void decode_loop();
    void take(Mailbox::Mail mail, StepReport& report);
    void begin(Prepared prepared, StepReport& report);
    void expire(StepReport& report);
    /// False when nothing was computed and there is nothing to do but wait: for requests in preparation or slow draws.
    [[nodiscard]] bool run_step(StepReport& report);
    [[nodiscard]] Model::Outcome compute(const sched::Step& step);
    [[nodiscard]] RequestId worth_aborting_for(const sched::Step& step) const;
    /// Is there anything to compute?
    [[nodiscard]] bool has_work() const { return !state_.scheduler.idle() || side_work_.open() > 0; }
    [[nodiscard]] std::chrono::microseconds patience(bool held) const;
    [[nodiscard]] Mailbox::Standing standing(double ends_per_s) const;
    [[nodiscard]] EngineStats stats() const;

    [[nodiscard]] int retry_after_s() const;

    EngineConfig config_;
    QueueTimeout queue_timeout_;
    std::function<void(StepReport)> report_;
    EngineState state_;
    Mailbox mailbox_;
    std::unique_ptr<ArtifactKeeper> keeper_;  ///< null: no artifacts
    SlowDraws slow_draws_;

    HostStates host_states_;
    ArtifactTraffic artifact_traffic_;
    ArtifactOrders artifact_orders_;
    Generations generations_;
    SideWork side_work_;

    std::atomic<RequestId> prefilling_{0};  ///< whose prompt is most of the running step; 0: nobody's
    std::atomic<bool> abort_{false};

    Preparation preparation_;
    std::jthread decode_thread_;
};

}  // namespace sutazai::engine
