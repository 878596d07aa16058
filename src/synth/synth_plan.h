#pragma once

#include <ggml.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "synth/synth.h"

/// Which tensors a synthetic model has and how the numbers in them are made. Part of synth.
namespace sutazai::synth {

/// How the numbers of one tensor are made.
enum class Fill : std::uint8_t { kRandom, kConstant, kOutput };

struct TensorPlan {
    std::string name;
    std::int64_t columns = 0;
    std::int64_t rows = 1;
    ggml_type type = GGML_TYPE_F32;
    Fill fill = Fill::kRandom;
    float value = 0.0F;  ///< standard deviation, or the constant
};

/// The types that llama-quantize gives the matrices of a model, row lengths permitting.
struct Quantisation {
    std::string_view name;
    std::uint32_t file_type;  ///< general.file_type
    ggml_type matrix;
    ggml_type output;     ///< output layer, tied or not
    ggml_type sensitive;  ///< attn_v and ffn_down of every other layer or so
};

[[nodiscard]] const std::vector<Quantisation>& quantisations();
[[nodiscard]] const Quantisation* find_quantisation(std::string_view name);  ///< null: there is none of that name

/// Sizes of the recurrent layers of a mamba or jamba, which follow from its width.
struct StateSpaceShape {
    std::uint32_t inner = 0;
    std::uint32_t state = 16;
    std::uint32_t kernel = 4;
    std::uint32_t time_step_rank = 0;
};
[[nodiscard]] StateSpaceShape state_space_shape(const SynthOptions& options);
/// Whether a layer of this model is recurrent instead of looking back over its KV cells.
[[nodiscard]] bool is_recurrent(const SynthOptions& options, std::uint32_t layer);

/// `options` are valid. `vocabulary`: tokens.
[[nodiscard]] std::vector<TensorPlan> plan_tensors(const SynthOptions& options, std::int64_t vocabulary);

}  // namespace sutazai::synth
