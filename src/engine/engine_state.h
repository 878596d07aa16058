#pragma once

#include <chrono>
#include <memory>

#include "engine/engine_config.h"
#include "engine/prepared.h"
#include "engine/progress.h"
#include "engine/step_report.h"
#include "sched/scheduler.h"

namespace sutazai::engine {

/// What the parts of the decode thread work on together: the model with its KV memory, the scheduler that keeps its
/// books, and the counters. Decode thread only, but for the model's constant properties and the progress.
struct EngineState {
    EngineState(std::unique_ptr<Model> the_model, const EngineConfig& config);

    std::unique_ptr<Model> model;
    sched::Scheduler scheduler;
    EngineStats counters;                                                             ///< those that only grow
    Progress progress;                                                                ///< of the decode thread
    std::chrono::steady_clock::time_point origin = std::chrono::steady_clock::now();  ///< of the scheduler's time

    [[nodiscard]] sched::Time time_of(std::chrono::steady_clock::time_point at) const;
    [[nodiscard]] sched::Time now() const { return time_of(std::chrono::steady_clock::now()); }
    /// Counts a result that is no number; what the request is told whose input is in `input_field`.
    [[nodiscard]] Error no_numbers(const char* input_field);
};

}  // namespace sutazai::engine
