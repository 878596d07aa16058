#pragma once

#include <algorithm>
#include <cstdint>

namespace sutazai {

/// Prefixes leave the KV memory, for host memory or the disk, in blocks of so many tokens.
inline constexpr int kBlockTokens = 256;

/// Sequences that an engine can hold: as many as llama.cpp (LLAMA_MAX_SEQ), less the one through which states go in and
/// out.
inline constexpr int kMaxSequences = 255;

/// KV cells that a model gets when CONTEXT_TOKENS is 0: room for `batch_size` sequences of 2048 tokens, or for one of
/// 8192 if the model was trained for that, and 65,536 at most. The engine allocates them; the server plans with them.
[[nodiscard]] constexpr std::uint32_t default_kv_cells(std::uint32_t training_context, std::uint32_t batch_size) {
    constexpr std::uint32_t kPerSequence = 2048;
    constexpr std::uint32_t kMost = 65536;
    const std::uint32_t for_one = std::min(training_context, 4 * kPerSequence);
    return std::min(std::max(for_one, std::min(batch_size, kMost / kPerSequence) * kPerSequence), kMost);
}

}  // namespace sutazai
