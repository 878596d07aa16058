#pragma once

/// Attention over unified KV memory on the CPU, in place of ggml's kernel where that would waste its time.
///
/// In unified KV memory a row of a batch sees only the cells of its own sequence, and the mask hides all others. ggml's
/// kernels look at every cell of the memory for every row and head (from 64 rows on they even compute most of the
/// hidden ones), so that many sequences that share nothing, or prefixes that are merely kept, make everybody slower.
/// This kernel reads a row's mask once for all heads, in vectors, and computes only what the row sees; a K or V row
/// that several query heads share (grouped-query attention) is read once for all of them. Softmax is the online one of
/// Rabe and Staats (arXiv 2112.05682), in single precision throughout.
///
/// ggml asks for it before its own kernel (level_parts.cpp) and computes what it is not made for: quantised KV, ALiBi,
/// soft caps, sinks, head sizes that are not a multiple of the vector, dense batches of many rows (prefill, for which
/// ggml's tiles are quicker), processors without AVX2. docs/decisions/0004-attention.md has the measurements.
///
/// Compiled for each level of processor (level_parts.h).
struct ggml_compute_params;
struct ggml_tensor;

namespace sutazai::kernels {

/// Computes FLASH_ATTN_EXT; called by all threads of a team. False, in all of them: ggml is to do it.
[[nodiscard]] bool attend(const ggml_compute_params* params, ggml_tensor* op);

/// Is there a kernel at this level at all.
[[nodiscard]] bool has_attention();

}  // namespace sutazai::kernels
