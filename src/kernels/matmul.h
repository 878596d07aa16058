#pragma once

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
/// with F32 activations in two dimensions, on processors with AVX-512 VNNI. It takes the place of
/// ggml_cpu_extra_compute_forward and ggml_cpu_extra_work_size at link time (--wrap), which ggml asks before it
/// computes a node, and hands everything else on. docs/decisions/0010-matrix-products.md has the measurements.
namespace sutazai::kernels {

/// For tests and comparisons: false hands everything on to ggml. On by default; set before any graph is planned. The
/// environment variable SUTAZAI_GGML_MATMUL=1 switches it off from outside.
void use_own_matmul(bool on);

/// Is this build's kernel made for this processor at all.
[[nodiscard]] bool has_own_matmul();

}  // namespace sutazai::kernels
