#pragma once

#include <memory>
#include <span>
#include <unordered_map>

#include "engine/artifact_traffic.h"
#include "engine/engine_state.h"
#include "engine/generation.h"
#include "engine/mailbox.h"
#include "engine/slow_draws.h"

namespace sutazai::engine {

/// The answers that are in the scheduler: begins them, draws their tokens after each step, and ends them. Decode
/// thread.
class Generations {
  public:
    Generations(EngineState& state, ArtifactTraffic& artifacts, Mailbox& mailbox, SlowDraws& slow_draws);

    /// Every answer of the request that is still wanted, at least one.
    void begin(Prepared prepared, StepReport& report);
    /// Says of each prompt in the step how far it has got. The step has been computed and committed.
    void tell_prompts(const sched::Step& step, StepReport& report) const;
    /// Draws and delivers a token of each chunk that wants one. The step has been computed and committed.
    void sample(const sched::Step& step, StepReport& report);
    /// A token that was drawn slowly is there.
    void take(const DrawnToken& drawn, StepReport& report);

    /// Unknown ids are ignored.
    void cancel(RequestId id);
    void fail(RequestId id, Error error, StepReport& report);
    /// Ends those that waited for too long.
    void expire(const QueueTimeout& timeout, StepReport& report);

    /// Of a request that is in the scheduler; null: none.
    [[nodiscard]] const llama::AdapterSet* adapters_of(RequestId id) const;
    /// The same of the images in its prompt.
    [[nodiscard]] const llama::PromptImages* images_of(RequestId id) const;

    /// Is a token being drawn slowly? Its request sits out until then.
    [[nodiscard]] bool draws_slowly() const { return n_slow_draws_ > 0; }

  private:
    void draw_slowly(std::shared_ptr<Generation> generation, std::span<const float> logits);
    void deliver(Generation& generation, Token token, StepReport& report);
    void end(Generation& generation, FinishReason reason, GenerationUpdate update, StepReport& report);
    void forget(RequestId id);

    EngineState& state_;
    ArtifactTraffic& artifacts_;
    Mailbox& mailbox_;
    SlowDraws& slow_draws_;
    std::unordered_map<RequestId, std::shared_ptr<Generation>> generations_;
    int n_slow_draws_ = 0;
};

}  // namespace sutazai::engine
