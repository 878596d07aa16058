#include <ostream>

#include "llama/testing/aged_families.h"

namespace sutazai::llama {

using gguf::Draft;
using gguf::Tensor;

void PrintTo(const AgedFamily& one, std::ostream* out) {
    *out << one.name;
}

Values with(Values some, const Values& more) {
    some.insert(some.end(), more.begin(), more.end());
    return some;
}

const Values& some_experts() {
    static const Values kExperts{{"expert_count", 4U},
                                 {"expert_used_count", 2U},
                                 {"expert_feed_forward_length", 64U},
                                 {"expert_shared_feed_forward_length", 64U},
                                 {"expert_shared_count", 1U}};
    return kExperts;
}

void add_vision(gguf::Outline& outline) {
    add_tensor(outline, "v.blk.0.attn_q.weight");
    add_tensor(outline, "mm.0.weight");
}

namespace {

const Values kGptOss{{"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"attention.sliding_window", 16U},
                     {"rope.freq_base", 150'000.0F},
                     {"rope.scaling.type", std::string("yarn")},
                     {"rope.scaling.factor", 4.0F},
                     {"rope.scaling.original_context_length", 64U}};

void age_gpt_oss(Draft& draft, gguf::Outline&) {
    draft.rename_architecture("gpt-oss", "gptoss");
    draft.remove("gptoss.expert_feed_forward_length");
    draft.remove("gptoss.rope.scaling.type");
    draft.set_text("tokenizer.ggml.pre", "default");
    draft.rename_part(".attn_output.", ".attn_out.");
    draft.rename_part(".attn_sinks.weight", ".attn_sinks");
    draft.rename_part(".post_attention_norm.", ".ffn_norm.");
}

const Values kNemotron = with(some_experts(), {{"block_count", 3U},
                                               {"feed_forward_length", std::vector<std::uint32_t>{0, 0, 96}},
                                               {"attention.head_count", std::vector<std::uint32_t>{2, 0, 2}},
                                               {"attention.head_count_kv", std::vector<std::uint32_t>{2, 0, 2}},
                                               {"attention.layer_norm_epsilon", 1e-5F},
                                               {"ssm.inner_size", 128U},
                                               {"ssm.conv_kernel", 4U},
                                               {"ssm.state_size", 16U},
                                               {"ssm.time_step_rank", 2U},
                                               {"ssm.group_count", 2U}});

}  // namespace

std::vector<AgedFamily> aged_others() {
    std::vector<AgedFamily> out;
    out.push_back({"mistral3",
                   {"mistral3",
                    {{"rope.scaling.type", std::string("yarn")},
                     {"rope.scaling.factor", 4.0F},
                     {"rope.scaling.original_context_length", 64U},
                     {"rope.scaling.yarn_beta_fast", 16.0F},
                     {"rope.scaling.yarn_beta_slow", 2.0F},
                     {"rope.scaling.yarn_log_multiplier", 1.0F},
                     {"attention.temperature_scale", 0.1F}},
                    TinyShape::Words::kBytePairs,
                    "tekken"},
                   [](Draft& draft, gguf::Outline& outline) {
                       const std::vector<std::pair<const char*, const char*>> keys{
                           {"rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"},
                           {"rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"},
                           {"rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"},
                           {"attention.temperature_scale", "rope.scaling_beta"}};
                       for (const auto& [proper, old] : keys) {
                           draft.copy(std::string("mistral3.") + proper, std::string("mistral3.") + old);
                           draft.remove(std::string("mistral3.") + proper);
                       }
                       draft.set_text("tokenizer.ggml.pre", "default");
                       add_vision(outline);
                   }});
    out.push_back({"llama4",
                   {"llama4", with(some_experts(), {{"block_count", 4U}, {"interleave_moe_layer_step", 2U}})},
                   [](Draft&, gguf::Outline& outline) { add_vision(outline); }});
    out.push_back(
        {"gptoss", {"gpt-oss", with(kGptOss, some_experts()), TinyShape::Words::kBytePairs, "gpt-4o"}, age_gpt_oss});
    out.push_back({"gptoss_mxfp4",
                   {"gpt-oss", with(kGptOss, some_experts()), TinyShape::Words::kBytePairs, "gpt-4o", true},
                   [](Draft& draft, gguf::Outline& outline) {
                       age_gpt_oss(draft, outline);
                       for (Tensor& tensor : outline.tensors) {
                           if (tensor.type == gguf::kTensorMxfp4) tensor.type = gguf::kTensorEarlyMxfp4;
                       }
                   }});
    // As it was published first: gate and up of the experts row by row in one tensor, biases value by value.
    out.push_back({"gptoss_first",
                   {"gpt-oss", with(kGptOss, some_experts()), TinyShape::Words::kBytePairs, "gpt-4o", true},
                   [](Draft& draft, gguf::Outline& outline) {
                       age_gpt_oss(draft, outline);
                       for (Tensor& gate : outline.tensors) {
                           if (gate.type == gguf::kTensorMxfp4) gate.type = gguf::kTensorEarlyMxfp4;
                           const auto at = gate.name.find("ffn_gate_exps.");
                           if (at == std::string::npos || gate.name.ends_with("scale")) continue;
                           std::string up_name = gate.name;
                           const Tensor up = *draft.tensor(up_name.replace(at, 13, "ffn_up_exps"));
                           const bool is_bias = gate.name.ends_with(".bias");
                           const std::uint64_t rows = gate.shape[1] * (is_bias ? gate.shape[0] : gate.shape[2]);
                           const std::uint64_t row_bytes = gate.bytes / rows;
                           // Of a bias the upper half of each value, which is its bfloat16.
                           const std::uint64_t taken = is_bias ? 2 : row_bytes;
                           for (std::uint64_t i = 1; i <= rows; ++i) {
                               gate.pieces.push_back({.begin = gate.begin + i * row_bytes - taken, .bytes = taken});
                               gate.pieces.push_back({.begin = up.begin + i * row_bytes - taken, .bytes = taken});
                           }
                           if (is_bias) gate.type = gguf::kTensorBf16;
                           if (is_bias) gate.bytes /= 2;
                           gate.shape[is_bias ? 0 : 1] *= 2;
                           gate.bytes *= 2;
                           gate.name.replace(at, 13, "ffn_gate_up_exps");
                       }
                       for (Tensor& down : outline.tensors) {
                           if (!down.name.ends_with("ffn_down_exps.bias")) continue;
                           down.type = gguf::kTensorBf16;
                           down.bytes /= 2;
                           down.pieces = {{.begin = down.begin + 2, .bytes = down.bytes, .row_bytes = 2}};
                       }
                       for (const char* name : {"blk.0.ffn_up_exps.weight", "blk.0.ffn_up_exps.bias",
                                                "blk.1.ffn_up_exps.weight", "blk.1.ffn_up_exps.bias"}) {
                           draft.drop_tensors(name);
                       }
                   }});
    out.push_back(
        {"deepseekocr",
         {"deepseek2-ocr", with(some_experts(), {{"leading_dense_block_count", 1U}, {"attention.head_count_kv", 2U}})},
         [](Draft& draft, gguf::Outline& outline) {
             draft.rename_architecture("deepseek2-ocr", "deepseekocr");
             draft.remove("deepseekocr.expert_feed_forward_length");
             draft.remove("deepseekocr.expert_shared_count");
             draft.remove("deepseekocr.attention.layer_norm_rms_epsilon");
             add_vision(outline);
             add_tensor(outline, "s.blk.0.attn_q.weight");
         }});
    out.push_back({"glmocr",
                   {"glm4",
                    {{"rope.dimension_sections", std::vector<std::uint32_t>{8, 4, 4, 0}},
                     {"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"rope.dimension_count", 32U}},
                    TinyShape::Words::kBytePairs,
                    "chatglm-bpe"},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.rename_architecture("glm4", "glmocr");
                       draft.remove("glmocr.rope.dimension_sections");
                       draft.remove("glmocr.rope.dimension_count");
                       draft.set_i32s("glmocr.rope.mrope_section", std::vector<std::int32_t>{8, 4, 4});
                       draft.set_text("tokenizer.ggml.pre", "llama-bpe");
                       draft.rename_part(".attn_output.", ".attn_out.");
                       draft.rename_part(".post_attention_norm.", ".post_attn_norm.");
                       draft.rename_part(".post_ffw_norm.", ".post_ffn_norm.");
                       std::vector<Tensor> gates;
                       for (Tensor& tensor : outline.tensors) {
                           if (!tensor.name.ends_with(".ffn_up.weight")) continue;
                           tensor.shape[1] /= 2;
                           tensor.bytes /= 2;
                           Tensor gate = tensor;
                           gate.name.replace(gate.name.find("ffn_up"), 6, "ffn_gate");
                           gates.push_back(gate);
                           tensor.begin += tensor.bytes;  // the gate is the first half
                       }
                       outline.tensors.insert(outline.tensors.end(), gates.begin(), gates.end());
                       add_vision(outline);
                   }});
    out.push_back({"glm4moelite",
                   {"deepseek2",
                    with(some_experts(), {{"attention.head_count_kv", 1U},
                                          {"attention.q_lora_rank", 32U},
                                          {"attention.kv_lora_rank", 32U},
                                          {"attention.key_length", 48U},
                                          {"attention.value_length", 32U},
                                          {"attention.key_length_mla", 40U},
                                          {"attention.value_length_mla", 40U},
                                          {"rope.dimension_count", 16U},
                                          {"leading_dense_block_count", 1U},
                                          {"expert_gating_func", 2U},
                                          {"expert_group_count", 1U},
                                          {"expert_group_used_count", 1U}}),
                    TinyShape::Words::kBytePairs, "glm4"},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_architecture("deepseek2", "glm4moelite");
                       draft.set_u32("glm4moelite.attention.head_count_kv", 2);
                       draft.set_u32("glm4moelite.attention.key_length", 40);
                       draft.set_u32("glm4moelite.attention.value_length", 40);
                       draft.set_u32("glm4moelite.attention.key_length_mla", 48);
                       draft.set_u32("glm4moelite.attention.value_length_mla", 32);
                       draft.remove("glm4moelite.expert_group_count");
                       draft.remove("glm4moelite.expert_group_used_count");
                       draft.set_text("tokenizer.ggml.pre", "default");
                       draft.set_i32s("tokenizer.ggml.eos_token_ids", std::vector<std::int32_t>{1, 3, 0});
                   }});
    out.push_back({"lfm2",
                   {"lfm2",
                    {{"shortconv.l_cache", 3U},
                     {"attention.head_count", 2U},
                     {"attention.head_count_kv", std::vector<std::uint32_t>{0, 2}}},
                    TinyShape::Words::kBytePairs,
                    "lfm2"},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_tensor("token_embd_norm.weight", "output_norm.weight");
                       draft.set_u32("lfm2.feed_forward_length", 1000);
                       draft.set_text("tokenizer.ggml.pre", "default");
                   }});
    out.push_back({"olmo3",
                   {"olmo2", {{"attention.sliding_window", 16U}, {"block_count", 4U}}},
                   [](Draft& draft, gguf::Outline&) { draft.rename_architecture("olmo2", "olmo3"); }});
    out.push_back({"nemotron_h_moe",
                   {"nemotron_h_moe", with(kNemotron, {{"moe_latent_size", 32U}})},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.remove("nemotron_h_moe.moe_latent_size");
                       draft.rename_part(".ffn_latent_down.", ".ffn_latent_in.");
                       draft.rename_part(".ffn_latent_up.", ".ffn_latent_out.");
                       add_tensor(outline, "mtp.layers.0.mixer.experts.0.up_proj.weight");
                   }});
    out.push_back({"nemotron_h_omni", {"nemotron_h_moe", kNemotron}, [](Draft& draft, gguf::Outline& outline) {
                       draft.rename_architecture("nemotron_h_moe", "nemotron_h_omni");
                       draft.set_u32("nemotron_h_omni.vision.block_count", 3);
                       draft.set_u32("nemotron_h_omni.audio.block_count", 3);
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                   }});
    out.push_back({"laguna",
                   {"laguna", with(some_experts(), {{"block_count", 4U},
                                                    {"leading_dense_block_count", 1U},
                                                    {"attention.key_length", 32U},
                                                    {"attention.value_length", 32U},
                                                    {"attention.sliding_window", 16U},
                                                    {"rope.dimension_count", 16U},
                                                    {"rope.dimension_count_swa", 32U},
                                                    {"rope.freq_base", 500'000.0F},
                                                    {"rope.freq_base_swa", 10'000.0F}})},
                   [](Draft& draft, gguf::Outline&) {
                       draft.copy("laguna.rope.dimension_count_swa", "laguna.rope.swa.dimension_count");
                       draft.copy("laguna.rope.freq_base_swa", "laguna.rope.swa.freq_base");
                       draft.remove("laguna.rope.dimension_count_swa");
                       draft.remove("laguna.rope.freq_base_swa");
                       draft.rename_part(".attn_gate.", ".attn_g.");
                   }});
    return out;
}
}  // namespace sutazai::llama
