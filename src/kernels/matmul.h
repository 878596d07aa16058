#pragma once

#include <cstddef>

/// Products of quantised weights and rows of activations on the CPU, in place of ggml's where that wastes most of what
/// the processor can do.
///
/// ggml's kernels take weights as signed bytes, for which AVX-512 has no product: every one of their multiplications
/// is made of four instructions (magnitudes of one side, signs moved to the other). Here weights are unsigned (a Q4_0
/// weight w is stored as w + 8, a Q8_0 weight as w + 128), a dot product begins at -8 or -128 times the sum of its
/// activations, which is computed once for all columns, and one vpdpbusd does 64 multiplications. Eight rows share each
/// unpacked weight, any number of rows is taken (ggml takes fours together and the rest one at a time), and a row's
/// result is the same to the last bit whatever rows stand beside it.
///
/// Made for Q4_0 weights as ggml repacks them (8 columns interleaved) and for plain Q8_0 weights (the output layer),
/// with F32 activations in two dimensions, on processors with AVX-512 VNNI. ggml asks for it before its own kernels
/// (level_parts.cpp) and computes everything else. docs/decisions/0010-matrix-products.md has the measurements.
///
/// Compiled for each level of processor (level_parts.h).
struct ggml_compute_params;
struct ggml_tensor;

namespace sutazai::kernels {

/// Computes MUL_MAT; called by all threads of a team. False, in all of them: ggml is to do it.
[[nodiscard]] bool multiply(const ggml_compute_params* params, const ggml_tensor* op);

/// The bytes of work memory that multiply() needs for the node; false when ggml is to compute it.
[[nodiscard]] bool product_work_size(const ggml_tensor* op, std::size_t& size);

/// Is there a kernel at this level at all.
[[nodiscard]] bool has_products();

}  // namespace sutazai::kernels
