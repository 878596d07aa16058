#include "gguf/families/families.h"

namespace sutazai::gguf {

Changed translate_gpt_oss(Draft& draft) {
    const Outline& outline = draft.outline();
    if (outline.find_tensor("blk.0.ffn_gate_up_exps.weight") != nullptr) {
        return fail(ErrorCode::kLoadFailed, "its experts have two matrices in one tensor, row by row");
    }
    draft.rename_architecture("gptoss", "gpt-oss");
    if (const Tensor* gate = outline.find_tensor("blk.0.ffn_gate_exps.weight")) {
        draft.set_u32_if_missing("gpt-oss.expert_feed_forward_length", static_cast<std::uint32_t>(gate->shape[1]));
    }
    draft.set_text_if_missing("gpt-oss.rope.scaling.type", "yarn");
    // Those that say anything say what is GPT-2's.
    draft.set_text("tokenizer.ggml.pre", "gpt-4o");
    for (Tensor& tensor : draft.tensors()) {
        const auto name = parse_block_name(tensor.name);
        if (name && name->rest == "attn_sinks") tensor.name += ".weight";
        if (tensor.type == kTensorEarlyMxfp4) {
            tensor.type = kTensorMxfp4;
            tensor.recoding = Recoding::kEarlyMxfp4;
        }
    }
    draft.rename_part(".attn_out.", ".attn_output.");
    draft.rename_part(".ffn_norm.", ".post_attention_norm.");
    return true;
}

}  // namespace sutazai::gguf
