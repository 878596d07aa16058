#include <fmt/format.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gguf/families/families.h"

namespace sutazai::gguf {
namespace {

/// Gate and up of each block as one tensor, the gate first. False when one of them is alone, or of another kind.
bool join_gate_and_up(Draft& draft) {
    std::unordered_map<std::uint64_t, Tensor> gates;
    for (const Tensor& tensor : draft.tensors()) {
        const auto name = parse_block_name(tensor.name);
        if (name && name->rest == "ffn_gate.weight") gates.emplace(name->block, tensor);
    }
    std::size_t joined = 0;
    for (Tensor& up : draft.tensors()) {
        const auto name = parse_block_name(up.name);
        if (!name || name->rest != "ffn_up.weight") continue;
        const auto gate = gates.find(name->block);
        if (gate == gates.end() || gate->second.type != up.type || gate->second.shape != up.shape) return false;
        up.pieces = {{.begin = gate->second.begin, .bytes = gate->second.bytes},
                     {.begin = up.begin, .bytes = up.bytes}};
        up.shape[1] *= 2;
        ++joined;
    }
    std::erase_if(draft.tensors(), [](const Tensor& tensor) {
        const auto name = parse_block_name(tensor.name);
        return name && name->rest == "ffn_gate.weight";
    });
    return joined == gates.size();
}

}  // namespace

Changed translate_glm_ocr(Draft& draft) {
    draft.rename_architecture("glmocr", "glm4");
    const Outline& outline = draft.outline();
    const auto sections = outline.numbers("glm4.rope.mrope_section");
    if (sections.size() == 3) set_rope_sections(draft, "glm4.rope.dimension_sections", sections);
    draft.copy("glm4.attention.key_length", "glm4.rope.dimension_count");
    if (outline.has("tokenizer.ggml.pre")) draft.set_text("tokenizer.ggml.pre", "chatglm-bpe");
    draft.rename_part(".attn_out.", ".attn_output.");
    draft.rename_part(".post_attn_norm.", ".post_attention_norm.");
    draft.rename_part(".post_ffn_norm.", ".post_ffw_norm.");
    drop_vision(draft);
    if (!join_gate_and_up(draft)) {
        return fail(ErrorCode::kLoadFailed, "its feed-forward gates do not belong to what they are the gates of");
    }
    return true;
}

/// GLM-4.7-Flash: DeepSeek's attention, with the sizes of one head where llama.cpp wants those of all in one.
Changed translate_glm4_moe_lite(Draft& draft) {
    const auto head = draft.outline().number("glm4moelite.attention.key_length");
    draft.rename_architecture("glm4moelite", "deepseek2");
    const Outline& outline = draft.outline();
    draft.set_u32("deepseek2.attention.head_count_kv", 1);
    const auto latent = outline.number("deepseek2.attention.kv_lora_rank");
    const auto rotated = outline.number("deepseek2.rope.dimension_count");
    if (latent && rotated) {
        draft.set_u32("deepseek2.attention.key_length", static_cast<std::uint32_t>(*latent + *rotated));
        draft.set_u32("deepseek2.attention.value_length", static_cast<std::uint32_t>(*latent));
    }
    // llama.cpp ends the process when no part of a head is without rotation.
    if (!head || !rotated || *head <= *rotated) {
        return fail(ErrorCode::kLoadFailed, "it does not say how wide a head of its attention is");
    }
    draft.set_u32("deepseek2.attention.key_length_mla", static_cast<std::uint32_t>(*head));
    draft.set_u32("deepseek2.attention.value_length_mla", static_cast<std::uint32_t>(*head));
    draft.set_u32_if_missing("deepseek2.expert_group_count", 1);
    draft.set_u32_if_missing("deepseek2.expert_group_used_count", 1);
    draft.set_text("tokenizer.ggml.pre", "glm4");
    const std::vector<std::uint64_t> ends = outline.numbers("tokenizer.ggml.eos_token_ids");
    if (ends.size() >= 2) {
        draft.set_u32_if_missing("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(ends[1]));
    }
    if (ends.size() >= 3) {
        draft.set_u32_if_missing("tokenizer.ggml.eom_token_id", static_cast<std::uint32_t>(ends[2]));
    }
    return true;
}

}  // namespace sutazai::gguf
