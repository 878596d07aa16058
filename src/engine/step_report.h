#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/engine_stats.h"
#include "base/generation.h"
#include "base/prompt_progress.h"

namespace sutazai::engine {

/// What one step (or one refused request) brought, for all requests at once.
struct StepReport {
    std::vector<std::pair<RequestId, GenerationUpdate>> updates;
    std::vector<std::pair<RequestId, PromptProgress>> prompts;  ///< of requests without a token, before the updates
    std::optional<EngineStats> stats;                           ///< after the step; none for a refused request

    void add(RequestId id, GenerationUpdate update) { updates.emplace_back(id, std::move(update)); }
    /// The last update of a request.
    void fail(RequestId id, Error error) { updates.emplace_back(id, GenerationUpdate{.error = std::move(error)}); }
    void fail(std::span<const RequestId> ids, const Error& error) {
        for (const RequestId id : ids) fail(id, error);
    }
};

}  // namespace sutazai::engine
