#include <algorithm>
#include <string>
#include <vector>

#include "gguf/families/families.h"

namespace sutazai::gguf {
namespace {

/// nullopt for what is no base64.
std::optional<std::string> decode_base64(std::string_view text) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    std::uint32_t bits = 0;
    int n_bits = 0;
    for (const char c : text.substr(0, text.find('='))) {
        const auto digit = kDigits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        bits = (bits << 6U | static_cast<std::uint32_t>(digit)) & 0xFFFFU;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out += static_cast<char>(bits >> n_bits);
    }
    return out;
}

/// What a block of this name has in common in all blocks that have it; the first one's.
const Tensor* first_of_blocks(const Outline& outline, std::string_view rest) {
    const auto found = std::ranges::find_if(outline.tensors, [&](const Tensor& tensor) {
        const auto name = parse_block_name(tensor.name);
        return name && name->rest == rest;
    });
    return found == outline.tensors.end() ? nullptr : &*found;
}

}  // namespace

Changed translate_deepseek_ocr(Draft& draft) {
    draft.rename_architecture("deepseekocr", "deepseek2-ocr");
    draft.drop_tensors("s.");  // another vision model in front of the vision model
    drop_vision(draft);
    draft.set_f32_if_missing("deepseek2-ocr.attention.layer_norm_rms_epsilon", 1e-6F);
    const Tensor* expert = first_of_blocks(draft.outline(), "ffn_down_exps.weight");
    const Tensor* shared = first_of_blocks(draft.outline(), "ffn_down_shexp.weight");
    if (expert == nullptr || shared == nullptr || expert->shape[0] == 0) {
        return fail(ErrorCode::kLoadFailed, "it has no experts");
    }
    draft.set_u32_if_missing("deepseek2-ocr.expert_feed_forward_length", static_cast<std::uint32_t>(expert->shape[0]));
    draft.set_u32_if_missing("deepseek2-ocr.expert_shared_count",
                             static_cast<std::uint32_t>(shared->shape[0] / expert->shape[0]));
    return true;
}

Changed translate_lfm2(Draft& draft) {
    const Outline& outline = draft.outline();
    if (outline.find_tensor("output_norm.weight") == nullptr ||
        outline.find_tensor("token_embd_norm.weight") != nullptr) {
        return false;
    }
    draft.rename_tensor("output_norm.weight", "token_embd_norm.weight");
    draft.set_text("tokenizer.ggml.pre", "lfm2");
    // Some say another width than their tensors have.
    if (const Tensor* gate = outline.find_tensor("blk.0.ffn_gate.weight")) {
        draft.set_u32("lfm2.feed_forward_length", static_cast<std::uint32_t>(gate->shape[1]));
    }
    return true;
}

Changed translate_olmo3(Draft& draft) {
    draft.rename_architecture("olmo3", "olmo2");
    return true;
}

Changed translate_nemotron_h_moe(Draft& draft) {
    const bool predicts = draft.drop_tensors("mtp.");
    const Tensor* latent = first_of_blocks(draft.outline(), "ffn_latent_in.weight");
    if (latent == nullptr) return predicts;
    draft.set_u32_if_missing("nemotron_h_moe.moe_latent_size", static_cast<std::uint32_t>(latent->shape[1]));
    draft.rename_part(".ffn_latent_in.", ".ffn_latent_down.");
    draft.rename_part(".ffn_latent_out.", ".ffn_latent_up.");
    return true;
}

Changed translate_nemotron_h_omni(Draft& draft) {
    const Outline& outline = draft.outline();
    const bool experts = outline.number("nemotron_h_omni.expert_count").value_or(0) > 0 ||
                         outline.number("nemotron_h_omni.expert_used_count").value_or(0) > 0;
    draft.remove_all("nemotron_h_omni.vision.");
    draft.remove_all("nemotron_h_omni.audio.");
    draft.rename_architecture("nemotron_h_omni", experts ? "nemotron_h_moe" : "nemotron_h");
    drop_vision(draft);
    draft.drop_tensors("a.");
    if (experts) {
        if (auto also = translate_nemotron_h_moe(draft); !also) return also;
    }
    return true;
}

Changed translate_laguna(Draft& draft) {
    const Outline& outline = draft.outline();
    const bool gates = first_of_blocks(outline, "attn_g.weight") != nullptr;
    const bool old =
        gates || outline.has("laguna.rope.swa.dimension_count") || outline.has("laguna.rope.swa.freq_base");
    if (!old) return false;
    draft.move("laguna.rope.swa.dimension_count", "laguna.rope.dimension_count_swa");
    draft.move("laguna.rope.swa.freq_base", "laguna.rope.freq_base_swa");
    draft.rename_part(".attn_g.", ".attn_gate.");
    return true;
}

/// The normaliser of its tokenizer is base64 in single characters, where llama.cpp wants the bytes.
Changed translate_arctic_embed2(Draft& draft) {
    constexpr std::string_view kMap = "tokenizer.ggml.precompiled_charsmap";
    const Value* map = draft.outline().find(kMap);
    if (draft.outline().text("tokenizer.ggml.model") != "t5" || map == nullptr) return false;
    if (map->type != kArray || map->element != kString) return false;
    const auto texts = draft.texts(kMap);
    if (!texts) return std::unexpected(texts.error());
    std::string encoded;
    for (const std::string& text : *texts) encoded += text;
    auto decoded = decode_base64(encoded);
    if (!decoded || decoded->empty()) return fail(ErrorCode::kLoadFailed, "the map of its tokenizer is no base64");
    draft.set_bytes(kMap, std::move(*decoded));
    return true;
}

}  // namespace sutazai::gguf
