#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace sutazai {

/// How far a piece of work is that takes long, in the terms of Ollama's clients.
struct WorkProgress {
    std::string status;           ///< "pulling manifest"; what is under way, never empty
    std::string digest = {};      ///< "sha256:<hex>" of the file that it is about; empty: of none
    std::uint64_t total = 0;      ///< bytes; 0: nothing is counted
    std::uint64_t completed = 0;  ///< of these

    bool operator==(const WorkProgress&) const = default;
};

/// Told by who works, on whatever thread that is, as often as one likes: it costs little and never waits.
using ProgressSink = std::function<void(WorkProgress)>;

}  // namespace sutazai
