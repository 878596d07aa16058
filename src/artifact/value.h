#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "artifact/chain.h"

/// What an artifact is worth, and which go when room is needed. Pure; any thread.
namespace sutazai::artifact {

/// One artifact as the ranking sees it.
struct Worth {
    ChainHash hash{};
    ChainHash parent{};
    int first = 0;
    std::uint64_t bytes = 0;       ///< on disk
    std::uint64_t compute_us = 0;  ///< to recompute; 0: unknown
    std::uint32_t uses = 0;        ///< times put or used
    std::int64_t idle_s = 0;       ///< since it was put or last used
};

/// Microseconds of computing that one byte on disk saves, times how often it is to be expected:
/// (uses + 1) * 2^(-idle / half-life) * compute / bytes. Unknown costs count as a microsecond per 100 bytes.
[[nodiscard]] double value_of(const Worth& worth);

struct EvictionRules {
    std::int64_t retention_s = 0;   ///< idle longer than this: goes
    std::uint64_t byte_limit = 0;   ///< of all that stay
    std::int64_t protected_s = 60;  ///< put or used so lately: stays, whatever else holds
};

/// Indices of those that go, in the order in which they should: first what is past its retention, then the least
/// valuable until the rest fits the limit. A block is worth at least what the blocks after it are worth (they are of no
/// use without it), so chains go from their ends; a block whose parent is not there goes first. O(n log n).
[[nodiscard]] std::vector<std::size_t> choose_evictions(std::span<const Worth> all, const EvictionRules& rules);

}  // namespace sutazai::artifact
