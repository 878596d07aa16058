#pragma once

#include <cstddef>
#include <cstdint>

namespace sutazai::batches {

/// What is to be seen of the batches from outside.
struct Figures {
    std::size_t unfinished = 0;         ///< batches, as of the last look
    std::size_t lines_running = 0;      ///< as of now
    std::uint64_t lines_completed = 0;  ///< since the start
    std::uint64_t lines_failed = 0;
    bool runs_here = false;  ///< this server is the one that runs them
};

}  // namespace sutazai::batches
