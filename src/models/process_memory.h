#pragma once

#include <cstdint>
#include <optional>

namespace sutazai::models {

/// What a process has in memory right now, in bytes.
struct ProcessMemory {
    std::uint64_t anonymous = 0;  ///< heap, buffers, repacked weights
    std::uint64_t file = 0;       ///< mapped weights that are in memory, and the binary's own pages

    /// Both count: mapped weights could be dropped by the kernel, but then every step would read them from disk again.
    [[nodiscard]] std::uint64_t total() const { return anonymous + file; }
};

/// From /proc/PID/status: counters that the kernel keeps, so this takes microseconds however large the process is
/// (smaps, which would divide shared pages among their users, walks all of its pages). Nothing when there is no such
/// process.
[[nodiscard]] std::optional<ProcessMemory> memory_of(int pid);

}  // namespace sutazai::models
