#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

struct ggml_backend_buffer;
struct ggml_compute_params;
struct ggml_tensor;

/// Low-rank adapters (LoRA) for each row of a step by itself. llama.cpp knows adapters of a whole context: every row of
/// a decode gets the same ones. Here the context has one adapter, whose two matrices beside a weight are places only
/// (no number in them is ever read), and what is computed for a row in those places is what the row's own set of
/// adapters says, or nothing. So rows of any sets share one step, one graph and each read of the weights, and another
/// set costs no new graph. docs/decisions/0034-adapters.md.
///
/// The kernel is compiled for each level of processor (level_parts.h).
namespace sutazai::kernels {

/// What one adapter adds to the product of one weight: scale x B(A x).
struct AdapterPair {
    int rank = 0;  ///< 0: nothing
    float scale = 0;
    bool is_f16 = false;      ///< both matrices; else F32
    const void* a = nullptr;  ///< [rank][values of a row that goes in]
    const void* b = nullptr;  ///< [rank][values of a row that comes out]
};

/// An adapter at work in a set. `pairs` by the number of the weight; one past their end adds nothing.
struct AdapterTerm {
    std::span<const AdapterPair> pairs;
    float scale = 1;
};

/// What `extra` of the two places beside a weight points to.
struct AdapterPlace {
    std::size_t weight = 0;  ///< its number
    bool is_b = false;
};

/// Rows one behind the other with the same set.
struct AdapterRun {
    int begin = 0;
    int end = 0;
    int set = -1;  ///< -1: none
};

/// One decode: the sets that take part, and which row has which. The rows of a graph are all tokens of the decode or,
/// behind the last attention, those whose logits are wanted.
struct AdapterStep {
    const ggml_backend_buffer* places = nullptr;  ///< the buffer that the places are said to lie in
    std::vector<std::vector<AdapterTerm>> sets = {};
    std::vector<AdapterRun> tokens = {};   ///< from 0, without gaps
    std::vector<AdapterRun> outputs = {};  ///< the same
    /// A product had other rows than these: what was computed is of no use.
    mutable std::atomic<bool> is_broken = false;
};

/// The step that llama.cpp computes now; null: none with places. Process-wide; set by the thread that decodes, around
/// the decode.
[[nodiscard]] std::atomic<const AdapterStep*>& adapter_step();

/// Computes a MUL_MAT whose weights are a place; called by all threads of a team. False, in all of them: it is none.
[[nodiscard]] bool adapt_rows(const ggml_compute_params* params, const ggml_tensor* op);

}  // namespace sutazai::kernels
