#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>

#include "engine/step_report.h"

namespace sutazai::engine {

/// Gathers what an engine reports, by request. Any thread. An update after a request's last fails the test.
class Collector {
  public:
    void take(StepReport report);

    /// Waits for the end of a request: its whole text and scores, and the end.
    GenerationUpdate wait(RequestId id);
    void wait_for_tokens(RequestId id, std::uint32_t n);
    [[nodiscard]] std::uint32_t tokens_of(RequestId id);
    [[nodiscard]] bool has_ended(RequestId id);
    [[nodiscard]] EngineStats stats();                  ///< of the last step
    [[nodiscard]] PromptProgress prompt(RequestId id);  ///< the last that came

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<RequestId, GenerationUpdate> results_;
    std::map<RequestId, PromptProgress> prompts_;
    EngineStats stats_;
};

}  // namespace sutazai::engine
