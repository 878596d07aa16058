#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "engine/artifact_keeper.h"

namespace sutazai::engine {

struct EngineConfig {
    std::uint32_t batch_size = 8;      ///< sequences decoded together, to start from
    std::uint32_t batch_size_max = 8;  ///< what the controller may go to; never less than batch_size
    std::uint32_t batch_tokens = 2048;
    std::uint32_t max_queue = 512;
    std::chrono::microseconds queue_timeout{0};   ///< a request that has not begun by then fails; 0: never
    std::chrono::microseconds batch_timeout{0};   ///< how long a request may be held for others in preparation
    std::chrono::microseconds token_gap{50'000};  ///< how much prefill may lengthen a step while something generates
    bool prefix_sharing = true;                   ///< false computes every prompt anew
    std::uint64_t prefix_cache_bytes = 0;         ///< host memory for prefixes that the KV memory has no room for
    ArtifactConfig artifacts;                     ///< used only with prefix_cache_bytes, through which they go
    /// Called on the decode thread instead of a report when the model's file has been written to: what was computed
    /// since the last report is worth nothing, and nothing more can be. It should not return.
    std::function<void()> on_changed_file = {};
};

}  // namespace sutazai::engine
