#include <string_view>
#include <utility>
#include <vector>

#include "gguf/families/families.h"

namespace sutazai::gguf {

namespace {

/// The first files have a gate and what it is the gate of row by row in one tensor, and so their biases value by value.
/// False when there is no pair of each.
bool part_gate_and_up(Draft& draft) {
    std::vector<Tensor> ups;
    for (Tensor& tensor : draft.tensors()) {
        constexpr std::string_view kBoth = "ffn_gate_up_exps.";
        const auto name = parse_block_name(tensor.name);
        if (!name || !name->rest.starts_with(kBoth)) continue;
        // Of a bias each value is a row.
        const bool is_bias = name->rest.ends_with(".bias");
        std::uint64_t& pairs = tensor.shape[is_bias ? 0 : 1];
        if (tensor.bytes == 0 || pairs == 0 || pairs % 2 != 0 || tensor.bytes % pairs != 0) return false;
        const TensorSize row = size_of_tensor(tensor.type, {is_bias ? 1 : tensor.shape[0], 1, 1, 1});
        if (row.fault != TensorSize::Fault::kNone || row.bytes == 0) return false;
        pairs /= 2;
        tensor.bytes /= 2;
        const std::size_t at = tensor.name.find(kBoth);
        Tensor up = tensor;
        tensor.pieces = {{.begin = tensor.begin, .bytes = tensor.bytes, .row_bytes = row.bytes}};
        tensor.name.replace(at, kBoth.size(), "ffn_gate_exps.");
        up.pieces = {{.begin = tensor.begin + row.bytes, .bytes = tensor.bytes, .row_bytes = row.bytes}};
        up.name.replace(at, kBoth.size(), "ffn_up_exps.");
        ups.push_back(std::move(up));
    }
    draft.tensors().insert(draft.tensors().end(), ups.begin(), ups.end());
    return true;
}

}  // namespace

Changed translate_gpt_oss(Draft& draft) {
    const Outline& outline = draft.outline();
    if (!part_gate_and_up(draft)) return fail(ErrorCode::kLoadFailed, "its experts have no pairs of a gate and an up");
    draft.rename_architecture("gptoss", "gpt-oss");
    if (const Tensor* gate = outline.find_tensor("blk.0.ffn_gate_exps.weight")) {
        draft.set_u32_if_missing("gpt-oss.expert_feed_forward_length", static_cast<std::uint32_t>(gate->shape[1]));
    }
    draft.set_text_if_missing("gpt-oss.rope.scaling.type", "yarn");
    // Those that say anything say what is GPT-2's.
    draft.set_text("tokenizer.ggml.pre", "gpt-4o");
    for (Tensor& tensor : draft.tensors()) {
        if (tensor.name.ends_with(".attn_sinks")) tensor.name += ".weight";
        // llama.cpp adds no others.
        if (tensor.name.ends_with("_exps.bias") && tensor.type == kTensorBf16) {
            tensor.type = kTensorF32;
            tensor.recoding = Recoding::kWiden;
            tensor.bytes *= 2;
        }
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
