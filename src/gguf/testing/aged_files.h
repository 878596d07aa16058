#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gguf/layout.h"
#include "gguf/testing/gguf_bytes.h"

/// For tests only.
namespace sutazai::gguf {

struct SmallTensor {
    std::string name;
    std::vector<std::uint64_t> shape{32};
    std::uint32_t type = 0;
};

/// A file with these entries, which `put_pairs` writes, and tensors whose bytes count up.
inline std::string small_file(const std::string& architecture, std::uint64_t pairs,
                              const std::function<void(Bytes&)>& put_pairs, const std::vector<SmallTensor>& tensors) {
    Bytes bytes;
    bytes.head(3, tensors.size(), pairs + 1).text_pair("general.architecture", architecture);
    put_pairs(bytes);
    std::uint64_t offset = 0;
    std::string data;
    for (const auto& [name, shape, type] : tensors) {
        Shape all{1, 1, 1, 1};
        for (std::size_t i = 0; i < shape.size(); ++i) all.at(i) = shape[i];
        bytes.tensor(name, shape, type, offset);
        const auto size = size_of_tensor(type, all).bytes;
        for (std::uint64_t i = 0; i < size; ++i) data += static_cast<char>(data.size() * 7 + data.size() / 251);
        data.resize((data.size() + 31) / 32 * 32);
        offset = data.size();
    }
    if (!tensors.empty()) bytes.pad(32);
    return bytes.raw(data).str();
}

inline void put_words(Bytes& bytes, std::uint64_t count) {
    bytes.text("tokenizer.ggml.tokens").u32(kArray).u32(kString).u64(count);
    for (std::uint64_t i = 0; i < count; ++i) bytes.text("<0x0" + std::to_string(i % 10) + ">");
    bytes.text("tokenizer.ggml.token_type").u32(kArray).u32(kInt32).u64(count);
    for (std::uint64_t i = 0; i < count; ++i) bytes.u32(1);
}

/// The smallest of each family in the form that Ollama published.
inline std::vector<std::string> aged_files() {
    const auto nothing = [](Bytes&) {};
    const auto sections = [](const std::string& key) {
        return [key](Bytes& bytes) { bytes.text(key).u32(kArray).u32(kInt32).u64(3).u32(8).u32(4).u32(4); };
    };
    const SmallTensor vision{"v.blk.0.attn_q.weight"};
    return {
        small_file("gemma3", 2, [](Bytes& bytes) { put_words(bytes, 5); }, {{"token_embd.weight", {32, 3}}, vision}),
        small_file("gemma3", 1, [](Bytes& bytes) { bytes.u32_pair("gemma3.embedding_length", 32); },
                   {{"dense.0.weight", {32, 64}}, {"dense.1.weight", {64, 32}}, {"norm.weight"}}),
        small_file("gemma3n", 2, [](Bytes& bytes) { put_words(bytes, 5); },
                   {{"token_embd.weight", {32, 5}}, {"per_layer_token_embd.weight", {32, 3}}, {"a.x"}}),
        small_file("gemma4", 1, [](Bytes& bytes) { bytes.text_pair("tokenizer.ggml.model", "llama"); },
                   {{"blk.0.ffn_gate_inp.per_expert_scale"}, {"mm.x"}}),
        small_file("gptoss", 1, [](Bytes& bytes) { bytes.u32_pair("gptoss.block_count", 1); },
                   {{"blk.0.ffn_gate_exps.weight", {64, 2, 2}, kTensorEarlyMxfp4},
                    {"blk.0.attn_sinks"},
                    {"blk.0.attn_out.weight"},
                    {"blk.0.ffn_norm.weight"}}),
        small_file("gptoss", 0, nothing,
                   {{"blk.0.ffn_gate_up_exps.weight", {64, 4, 2}, kTensorEarlyMxfp4},
                    {"blk.0.ffn_gate_up_exps.bias", {8, 2}, kTensorBf16},
                    {"blk.0.ffn_down_exps.bias", {8, 2}, kTensorBf16},
                    {"blk.0.attn_qkv.weight"}}),
        small_file("qwen25vl", 1, sections("qwen25vl.rope.mrope_section"), {{"blk.0.attn_q.weight"}, vision}),
        small_file("qwen3vl", 1, sections("qwen3vl.rope.mrope_section"), {{"blk.0.attn_q.weight"}, vision}),
        small_file("qwen35", 1, sections("qwen35.rope.dimension_sections"), {{"blk.0.ssm_dt"}, {"mtp.fc.weight"}}),
        small_file("qwen3next", 1, sections("qwen3next.attention.head_count_kv"), {{"blk.0.ssm_dt"}}),
        small_file("mistral3", 1, [](Bytes& bytes) { bytes.u32_pair("mistral3.rope.scaling_beta", 1); },
                   {{"w"}, vision}),
        small_file("llama4", 0, nothing, {{"w"}, vision}),
        small_file("deepseekocr", 0, nothing,
                   {{"blk.1.ffn_down_exps.weight", {32, 2, 2}}, {"blk.1.ffn_down_shexp.weight", {64, 2}}, {"s.x"}}),
        small_file("glmocr", 1, sections("glmocr.rope.mrope_section"),
                   {{"blk.0.ffn_gate.weight", {32, 2}}, {"blk.0.ffn_up.weight", {32, 2}}, {"blk.0.attn_out.weight"}}),
        small_file("glm4moelite", 3,
                   [](Bytes& bytes) {
                       bytes.u32_pair("glm4moelite.attention.key_length", 40)
                           .u32_pair("glm4moelite.attention.kv_lora_rank", 32)
                           .u32_pair("glm4moelite.rope.dimension_count", 16);
                   },
                   {{"w"}}),
        small_file("lfm2", 0, nothing, {{"output_norm.weight"}, {"blk.0.ffn_gate.weight", {32, 2}}}),
        small_file("olmo3", 1, [](Bytes& bytes) { bytes.u32_pair("olmo3.block_count", 1); }, {{"w"}}),
        small_file("nemotron_h_moe", 0, nothing, {{"blk.1.ffn_latent_in.weight", {32, 16}}, {"mtp.x"}}),
        small_file("nemotron_h_omni", 1, [](Bytes& bytes) { bytes.u32_pair("nemotron_h_omni.vision.x", 1); },
                   {{"w"}, vision, {"a.x"}}),
        small_file("laguna", 1, [](Bytes& bytes) { bytes.u32_pair("laguna.rope.swa.dimension_count", 32); },
                   {{"blk.0.attn_g.weight"}}),
        small_file("bert", 2,
                   [](Bytes& bytes) {
                       bytes.text_pair("tokenizer.ggml.model", "t5");
                       bytes.text("tokenizer.ggml.precompiled_charsmap").u32(kArray).u32(kString).u64(4);
                       for (const char* letter : {"T", "W", "F", "u"}) bytes.text(letter);
                   },
                   {{"w"}}),
    };
}

}  // namespace sutazai::gguf
