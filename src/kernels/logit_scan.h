#pragma once

#include <cstddef>
#include <span>

/// One look at a row of logits that tells what sampling needs to know of all of them: whether they are numbers at all,
/// and the largest of each block, so that only the few blocks that hold what can be drawn are looked at again. A row of
/// a large vocabulary is 600 KB: what costs is to read it, so it is read once.
///
/// Compiled for each level of processor (level_parts.h), with the same result. Any thread.
namespace sutazai::kernels {

inline constexpr std::size_t kScanBlock = 128;  ///< logits

[[nodiscard]] constexpr std::size_t scan_blocks(std::size_t n_logits) {
    return (n_logits + kScanBlock - 1) / kScanBlock;
}

/// Writes the largest of each kScanBlock logits to `largest`, [scan_blocks(row.size())]; what it says of a block that
/// holds NaN is nothing. True when the row says anything: no NaN, no plus infinity (a damaged file, or one that was
/// quantised to fewer bits than it bears, makes a model compute them), and not all minus infinity, which is how single
/// tokens are ruled out.
///
/// At the level in use (cpu_level.h, which has those of the others).
[[nodiscard]] bool scan_logits(std::span<const float> row, std::span<float> largest);

/// The one that is compiled for a level; scan_logits() is what is called.
[[nodiscard]] bool scan_logits_at_level(std::span<const float> row, std::span<float> largest);

}  // namespace sutazai::kernels
