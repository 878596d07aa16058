#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/generation.h"
#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// What one step brought, as messages that each fit into a frame. Large updates (the scores of a long prompt, many
/// embeddings) come in several, in order, the end of a request after all that belongs to it, statistics with the last.
struct StepFrames {
    struct Limits {
        std::size_t usual_bytes;  ///< about so much goes into one message, so that no reader is held up for long
        std::size_t most_bytes;   ///< what cannot be cut and is larger fails its request
    };
    static const Limits kLimits;  ///< of the socket

    std::vector<wire::FromEngine> messages;
    std::vector<RequestId> failed;  ///< requests that got an error here instead, of which the engine knows nothing yet
};
/// `stats` may be null. At least one message. Pure.
[[nodiscard]] StepFrames step_frames(std::vector<std::pair<RequestId, GenerationUpdate>> updates,
                                     const wire::Stats* stats, const StepFrames::Limits& limits = StepFrames::kLimits);

}  // namespace sutazai::ipc
