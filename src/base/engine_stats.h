#pragma once

#include <array>
#include <cstdint>

namespace sutazai {

/// What an engine says of itself after each step. Counters begin with the engine; of a model they are added up over its
/// engines since the server started.
struct EngineStats {
    // As of now.
    std::uint64_t running = 0;      ///< requests that have begun
    std::uint64_t waiting = 0;      ///< requests that wait inside the engine
    std::uint64_t batch_width = 0;  ///< sequences decoded together at most, as the batch controller has it
    std::uint64_t kv_cells_used = 0;
    std::uint64_t kv_cells = 0;
    std::uint64_t prefixes = 0;        ///< of finished requests, kept in the KV memory
    std::uint64_t host_bytes = 0;      ///< of host memory, for prefixes that were pushed out of the KV memory
    std::uint64_t artifacts = 0;       ///< of this model on disk
    std::uint64_t artifact_bytes = 0;  ///< of those

    // Counters.
    std::uint64_t prompt_tokens = 0;         ///< of prompts, computed or not
    std::uint64_t generation_tokens = 0;     ///< drawn
    std::uint64_t cached_tokens = 0;         ///< of prompt_tokens, those whose KV was there and was not computed again
    std::uint64_t host_restored_tokens = 0;  ///< copied back from host memory instead of being computed
    std::uint64_t artifact_restored_tokens = 0;  ///< of those, what came from artifacts
    std::uint64_t preemptions = 0;
    std::uint64_t steps = 0;
    std::uint64_t step_us = 0;         ///< inside llama_decode
    std::uint64_t grammar_hits = 0;    ///< requests whose grammar was there, or under way for another
    std::uint64_t grammar_misses = 0;  ///< those for which it was compiled
    std::uint64_t broken_results = 0;  ///< rows of logits and embeddings that were no numbers (NaN, infinite)

    bool operator==(const EngineStats&) const = default;

    /// Adds the counters of another engine; what is as of now stays.
    void add_counters(const EngineStats& other);
};

inline constexpr std::array kCounters{
    &EngineStats::prompt_tokens,
    &EngineStats::generation_tokens,
    &EngineStats::cached_tokens,
    &EngineStats::host_restored_tokens,
    &EngineStats::artifact_restored_tokens,
    &EngineStats::preemptions,
    &EngineStats::steps,
    &EngineStats::step_us,
    &EngineStats::grammar_hits,
    &EngineStats::grammar_misses,
    &EngineStats::broken_results,
};

inline void EngineStats::add_counters(const EngineStats& other) {
    for (const auto counter : kCounters) this->*counter += other.*counter;
}

}  // namespace sutazai
