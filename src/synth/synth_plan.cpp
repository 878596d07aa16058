#include "synth/synth_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sutazai::synth {
namespace {

// Real models' logits differ by about this much (standard deviation). Less, and every answer is noise at temperature 1;
// more, and sampling has nothing to choose.
constexpr float kLogitDeviation = 2.5F;
// Queries and keys a little larger than usual, so that attention picks tokens instead of averaging all of them: a
// random model that averages soon writes the same few tokens in a circle.
constexpr float kAttentionGain = 2.0F;
constexpr float kTiedEmbeddingDeviation = 0.02F;

constexpr float kNorms = 1.0F;
// A state loses about a hundredth with each token, so that an answer depends on what was said a hundred tokens ago.
constexpr float kStateDecay = -0.015F;

/// llama-quantize's fall-back where a row is no multiple of a block of the type.
ggml_type fitting(ggml_type type, std::int64_t columns) {
    if (columns % ggml_blck_size(type) == 0) return type;
    return type == GGML_TYPE_Q4_K ? GGML_TYPE_Q5_0 : GGML_TYPE_Q8_0;
}

bool gets_more_bits(std::uint32_t layer, std::uint32_t layers) {
    return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// Norms come after what they norm, and everything has a bias.
std::vector<TensorPlan> plan_bert_tensors(const SynthOptions& o, std::int64_t vocabulary) {
    const Quantisation& quantisation = *find_quantisation(o.quantisation);
    const std::int64_t width = o.embedding;
    const std::int64_t inner = o.feed_forward;
    std::vector<TensorPlan> plans;
    const auto table = [&](std::string name, std::int64_t rows, ggml_type type) {
        plans.push_back({std::move(name), width, rows, type, Fill::kRandom, 1.0F});
    };
    const auto matrix = [&](const std::string& name, std::int64_t in, std::int64_t out, float gain = 1.0F) {
        plans.push_back({name + ".weight", in, out, fitting(quantisation.matrix, in), Fill::kRandom,
                         gain / std::sqrt(static_cast<float>(in))});
        plans.push_back({name + ".bias", out, 1, GGML_TYPE_F32, Fill::kRandom, 0.1F});
    };
    const auto norm = [&](const std::string& name) {
        plans.push_back({name + ".weight", width, 1, GGML_TYPE_F32, Fill::kConstant, kNorms});
        plans.push_back({name + ".bias", width, 1, GGML_TYPE_F32, Fill::kRandom, 0.1F});
    };
    table("token_embd.weight", vocabulary, fitting(quantisation.matrix, width));
    table("position_embd.weight", o.context_length, GGML_TYPE_F32);
    table("token_types.weight", 2, GGML_TYPE_F32);
    norm("token_embd_norm");
    for (std::uint32_t layer = 0; layer < o.layers; ++layer) {
        const auto name = [layer](std::string_view tensor) { return fmt::format("blk.{}.{}", layer, tensor); };
        matrix(name("attn_q"), width, width, kAttentionGain);
        matrix(name("attn_k"), width, width, kAttentionGain);
        matrix(name("attn_v"), width, width);
        matrix(name("attn_output"), width, width);
        norm(name("attn_output_norm"));
        matrix(name("ffn_up"), width, inner);
        matrix(name("ffn_down"), inner, width);
        norm(name("layer_output_norm"));
    }
    if (o.pooling == kRankPooling) {
        matrix("cls", width, width);
        matrix("cls.output", width, 1);
    }
    return plans;
}

/// The tensors of a model that writes text, part by part.
class DecoderPlan {
  public:
    DecoderPlan(const SynthOptions& options, std::vector<TensorPlan>& plans)
        : o_(options), quantisation_(*find_quantisation(options.quantisation)), plans_(plans) {}

    void add_tables(std::int64_t vocabulary) {
        const ggml_type output = fitting(quantisation_.output, width());
        const float row = std::sqrt(static_cast<float>(width()));
        if (o_.tied_embeddings) {
            plans_.push_back(
                {"token_embd.weight", width(), vocabulary, output, Fill::kRandom, kTiedEmbeddingDeviation});
            constant("output_norm.weight", width(), kLogitDeviation / (kTiedEmbeddingDeviation * row));
            return;
        }
        plans_.push_back(
            {"token_embd.weight", width(), vocabulary, fitting(quantisation_.matrix, width()), Fill::kRandom, 1.0F});
        constant("output_norm.weight", width(), kNorms);
        plans_.push_back({"output.weight", width(), vocabulary, output, Fill::kOutput, kLogitDeviation / row});
    }

    void add_attention(std::uint32_t layer) {
        const std::int64_t kv_width = width() / o_.heads * o_.kv_heads;
        constant(name(layer, "attn_norm.weight"), width(), kNorms);
        matrix(name(layer, "attn_q.weight"), width(), width(), quantisation_.matrix, kAttentionGain);
        matrix(name(layer, "attn_k.weight"), width(), kv_width, quantisation_.matrix, kAttentionGain);
        matrix(name(layer, "attn_v.weight"), width(), kv_width, sensitive(layer));
        if (o_.architecture == "qwen2") {
            random(name(layer, "attn_q.bias"), width(), 0.1F);
            random(name(layer, "attn_k.bias"), kv_width, 0.1F);
            random(name(layer, "attn_v.bias"), kv_width, 0.1F);
        }
        if (o_.architecture == "gemma3") {
            const std::int64_t head = width() / o_.heads;
            constant(name(layer, "attn_q_norm.weight"), head, kAttentionGain);
            constant(name(layer, "attn_k_norm.weight"), head, kAttentionGain);
            constant(name(layer, "post_attention_norm.weight"), width(), after_norm());
        }
        matrix(name(layer, "attn_output.weight"), width(), width(), quantisation_.matrix);
    }

    void add_state_space(std::uint32_t layer) {
        const auto [inner, state, kernel, rank] = state_space_shape(o_);
        constant(name(layer, "attn_norm.weight"), width(), kNorms);
        matrix(name(layer, "ssm_in.weight"), width(), 2 * std::int64_t{inner}, quantisation_.matrix);
        plans_.push_back({name(layer, "ssm_conv1d.weight"), kernel, inner, GGML_TYPE_F32, Fill::kRandom,
                          1.0F / std::sqrt(static_cast<float>(kernel))});
        random(name(layer, "ssm_conv1d.bias"), inner, 0.1F);
        matrix(name(layer, "ssm_x.weight"), inner, rank + 2 * state, quantisation_.matrix);
        matrix(name(layer, "ssm_dt.weight"), rank, inner, quantisation_.matrix);
        random(name(layer, "ssm_dt.bias"), inner, 0.1F);
        if (o_.architecture == "jamba") {
            constant(name(layer, "ssm_dt_norm.weight"), rank, kNorms);
            constant(name(layer, "ssm_b_norm.weight"), state, kNorms);
            constant(name(layer, "ssm_c_norm.weight"), state, kNorms);
        }
        plans_.push_back({name(layer, "ssm_a"), state, inner, GGML_TYPE_F32, Fill::kConstant, kStateDecay});
        random(name(layer, "ssm_d"), inner, 1.0F);
        matrix(name(layer, "ssm_out.weight"), inner, width(), quantisation_.matrix);
    }

    void add_feed_forward(std::uint32_t layer) {
        constant(name(layer, "ffn_norm.weight"), width(), kNorms);
        matrix(name(layer, "ffn_gate.weight"), width(), o_.feed_forward, quantisation_.matrix);
        matrix(name(layer, "ffn_up.weight"), width(), o_.feed_forward, quantisation_.matrix);
        matrix(name(layer, "ffn_down.weight"), o_.feed_forward, width(), sensitive(layer));
        if (o_.architecture == "gemma3") constant(name(layer, "post_ffw_norm.weight"), width(), after_norm());
    }

  private:
    [[nodiscard]] std::int64_t width() const { return o_.embedding; }
    /// A gemma makes its embeddings larger by the root of its width; what a layer adds must keep up with them.
    [[nodiscard]] float after_norm() const { return std::sqrt(static_cast<float>(width())); }
    [[nodiscard]] ggml_type sensitive(std::uint32_t layer) const {
        return gets_more_bits(layer, o_.layers) ? quantisation_.sensitive : quantisation_.matrix;
    }
    static std::string name(std::uint32_t layer, std::string_view tensor) {
        return fmt::format("blk.{}.{}", layer, tensor);
    }
    void matrix(std::string name, std::int64_t in, std::int64_t out, ggml_type type, float gain = 1.0F) {
        plans_.push_back(
            {std::move(name), in, out, fitting(type, in), Fill::kRandom, gain / std::sqrt(static_cast<float>(in))});
    }
    void constant(std::string name, std::int64_t size, float value) {
        plans_.push_back({std::move(name), size, 1, GGML_TYPE_F32, Fill::kConstant, value});
    }
    void random(std::string name, std::int64_t size, float deviation) {
        plans_.push_back({std::move(name), size, 1, GGML_TYPE_F32, Fill::kRandom, deviation});
    }

    const SynthOptions& o_;
    const Quantisation& quantisation_;
    std::vector<TensorPlan>& plans_;
};

}  // namespace

const std::vector<Quantisation>& quantisations() {
    static const std::vector<Quantisation> all = {
        {"f32", 0, GGML_TYPE_F32, GGML_TYPE_F32, GGML_TYPE_F32},
        {"f16", 1, GGML_TYPE_F16, GGML_TYPE_F16, GGML_TYPE_F16},
        {"q8_0", 7, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0, GGML_TYPE_Q8_0},
        {"q4_0", 2, GGML_TYPE_Q4_0, GGML_TYPE_Q6_K, GGML_TYPE_Q4_0},
        {"q4_k_m", 15, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_Q6_K},
    };
    return all;
}

const Quantisation* find_quantisation(std::string_view name) {
    const auto found = std::ranges::find(quantisations(), name, &Quantisation::name);
    return found == quantisations().end() ? nullptr : &*found;
}

StateSpaceShape state_space_shape(const SynthOptions& options) {
    StateSpaceShape shape;
    shape.inner = 2 * options.embedding;
    shape.time_step_rank = (options.embedding / 16 + 31) / 32 * 32;  // whole blocks of any quantisation
    return shape;
}

bool is_recurrent(const SynthOptions& options, std::uint32_t layer) {
    return options.architecture == "mamba" || (options.architecture == "jamba" && layer % 2 == 0);
}

std::vector<TensorPlan> plan_tensors(const SynthOptions& options, std::int64_t vocabulary) {
    if (options.architecture == "bert") return plan_bert_tensors(options, vocabulary);
    std::vector<TensorPlan> plans;
    DecoderPlan plan(options, plans);
    plan.add_tables(vocabulary);
    for (std::uint32_t layer = 0; layer < options.layers; ++layer) {
        if (is_recurrent(options, layer)) {
            plan.add_state_space(layer);
        } else {
            plan.add_attention(layer);
        }
        if (options.architecture != "mamba") plan.add_feed_forward(layer);
    }
    return plans;
}

}  // namespace sutazai::synth
