#pragma once

#include <cstdint>

#include "catalog/gguf_file.h"

/// What a model will take before it is loaded. Pure.
namespace sutazai::models {

/// The settings that decide how much an engine takes beside its weights.
struct EngineShape {
    std::uint32_t context_tokens = 0;  ///< KV cells; 0: as default_kv_cells() has it
    std::uint32_t batch_size = 8;
    std::uint32_t batch_size_max = 32;
    std::uint32_t batch_tokens = 2048;
    std::uint64_t kv_bytes_of_32 = 64;  ///< what 32 values of the KV memory take
    std::uint64_t projector_bytes = 0;  ///< of the file that makes rows of images; 0: there is none
    std::uint64_t adapter_bytes = 0;    ///< of a model's adapters; of the server: the most that there may be
};

struct MemoryEstimate {
    std::uint64_t weights = 0;
    std::uint64_t kv = 0;
    std::uint64_t compute = 0;
    std::uint64_t process = 0;

    [[nodiscard]] std::uint64_t total() const { return weights + kv + compute + process; }
};

/// In bytes, of host memory. weights: all tensors, and adapters; an embedding table that is the output layer as well
/// counts twice, because each use has a layout of its own. kv: cells x KV heads of all layers x (key + value length) x
/// what the KV type takes. compute: what a micro-batch of u = min(batch_tokens, 512) tokens leaves between two layers,
/// 4u x (3 widest feed-forward + 8 width) bytes, its mask over all cells, 4u x cells, and a row of logits for each
/// sequence that may end a step, 4 x vocabulary x sequences, twice (in the graph and handed out); with a projector,
/// whose file counts as weights, kImageBytes. process: kProcessBytes, and kBytesPerToken for each token of the
/// vocabulary. Unknown numbers count as nothing: what was measured corrects that.
[[nodiscard]] MemoryEstimate estimate_memory(const catalog::GgufSummary& model, const EngineShape& shape);

inline constexpr std::uint64_t kProcessBytes = 24ULL << 20;  ///< the binary's pages, threads, buffers
inline constexpr std::uint64_t kImageBytes = 192ULL << 20;   ///< an image in work, and rows that are kept
inline constexpr std::uint64_t kBytesPerToken =
    640;  ///< text, score, indexes and merges of a vocabulary's entry, measured

}  // namespace sutazai::models
