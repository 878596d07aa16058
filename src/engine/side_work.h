#pragma once

#include <memory>

#include "engine/engine_state.h"
#include "engine/generations.h"
#include "llama/side_context.h"

namespace sutazai::engine {

/// What is computed beside the scheduler: embeddings, and prompts that are given back, with the scores of their tokens
/// where these are wanted. Decode thread.
class SideWork {
  public:
    /// Answers to prompts that were given back are begun in `generations`.
    SideWork(EngineState& state, Generations& generations, QueueTimeout timeout);

    /// False when the request is none of these, and so is left to the scheduler.
    [[nodiscard]] bool begin(Prepared& prepared, StepReport& report);
    /// Computes for some milliseconds, fewer while requests are in the scheduler.
    void run(StepReport& report);
    /// Unknown ids are ignored.
    void cancel(RequestId id);
    [[nodiscard]] int open() const { return embeddings_->open() + scores_->open(); }

  private:
    void take(llama::SideContext::Job job, StepReport& report);
    void give_back(Prepared prepared, const std::vector<TokenScore>& scores, StepReport& report);
    void fail(RequestId id, const Error& error, StepReport& report);

    EngineState& state_;
    Generations& generations_;
    QueueTimeout timeout_;
    std::unique_ptr<llama::SideContext> embeddings_, scores_;
    HeldRequests scored_;  ///< whose prompts are in scores_
};

}  // namespace sutazai::engine
