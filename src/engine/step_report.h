#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/generation.h"

namespace sutazai::engine {

struct EngineStats {
    int running = 0;
    int waiting = 0;
    int width = 0;  ///< sequences decoded together, as the controller has it
    int kv_cells_used = 0;
    int kv_cells = 0;
    std::uint64_t prompt_tokens = 0;  ///< counters since the start
    std::uint64_t generation_tokens = 0;
    std::uint64_t cached_tokens = 0;
    std::uint64_t restored_tokens = 0;  ///< of those, from host memory
    std::uint64_t preemptions = 0;
    std::uint64_t host_bytes = 0;  ///< in use for kept prefixes outside the KV memory
    std::uint64_t steps = 0;
    std::uint64_t step_us = 0;                        ///< inside llama_decode
    int prefixes = 0;                                 ///< sequences of finished requests that are kept
    std::uint64_t artifacts = 0, artifact_bytes = 0;  ///< of this model on disk
    std::uint64_t artifact_tokens = 0;                ///< read back from artifacts instead of being computed
    std::uint64_t broken_results = 0;                 ///< that were no numbers: rows of logits, embeddings
};

/// What one step (or one refused request) brought, for all requests at once.
struct StepReport {
    std::vector<std::pair<RequestId, GenerationUpdate>> updates;
    std::optional<EngineStats> stats;  ///< after the step; none for a refused request

    void add(RequestId id, GenerationUpdate update) { updates.emplace_back(id, std::move(update)); }
    /// The last update of a request.
    void fail(RequestId id, Error error) { updates.emplace_back(id, GenerationUpdate{.error = std::move(error)}); }
    void fail(std::span<const RequestId> ids, const Error& error) {
        for (const RequestId id : ids) fail(id, error);
    }
};

}  // namespace sutazai::engine
