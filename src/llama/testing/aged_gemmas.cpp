#include <gtest/gtest.h>

#include "llama/testing/aged_families.h"

namespace sutazai::llama {
namespace {

using gguf::Draft;
using gguf::Tensor;

/// Words of images behind all others.
void add_words(Draft& draft, gguf::Outline& outline) {
    const std::uint64_t before = draft.texts("tokenizer.ggml.tokens").value().size();
    ASSERT_EQ(before, kTinyTokens);
    (void)draft.i32s("tokenizer.ggml.token_type");
    for (gguf::Pair& pair : outline.pairs) {
        const bool tokens = pair.key == "tokenizer.ggml.tokens";
        if (!tokens && pair.key != "tokenizer.ggml.scores" && pair.key != "tokenizer.ggml.token_type") continue;
        ASSERT_FALSE(pair.value.place) << pair.key;
        pair.value.count += 2;
        for (const std::string word : {"<image>", "<sound>"}) {
            if (tokens) gguf::append_bytes<std::uint64_t>(pair.value.bytes, word.size());
            if (tokens) pair.value.bytes += word;
            if (!tokens) gguf::append_bytes<std::uint32_t>(pair.value.bytes, 1);
        }
    }
}

const Values kGemma{{"block_count", 7U},
                    {"attention.key_length", 32U},
                    {"attention.value_length", 32U},
                    {"attention.sliding_window", 16U},
                    {"rope.freq_base", 1'000'000.0F},
                    {"rope.freq_base_swa", 10'000.0F}};
}  // namespace

std::vector<AgedFamily> aged_gemmas() {
    using Words = TinyShape::Words;
    std::vector<AgedFamily> out;
    out.push_back(
        {"gemma3_1b", {"gemma3", kGemma, Words::kPieces}, [](Draft& draft, gguf::Outline&) {
             draft.copy("gemma3.rope.freq_base", "gemma3.rope.global.freq_base");
             draft.copy("gemma3.rope.freq_base_swa", "gemma3.rope.local.freq_base");
             for (const char* key : {"rope.freq_base", "rope.freq_base_swa", "attention.layer_norm_rms_epsilon"}) {
                 draft.remove(std::string("gemma3.") + key);
             }
         }});
    out.push_back({"gemma3_4b",
                   {"gemma3",
                    with(kGemma, {{"context_length", 131072U},
                                  {"rope.scaling.type", std::string("linear")},
                                  {"rope.scaling.factor", 8.0F}}),
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline& outline) {
                       for (const char* key : {"rope.freq_base", "rope.freq_base_swa", "rope.scaling.type",
                                               "rope.scaling.factor", "attention.layer_norm_rms_epsilon"}) {
                           draft.remove(std::string("gemma3.") + key);
                       }
                       draft.set_u32("gemma3.mm.tokens_per_image", 256);
                       add_words(draft, outline);
                       add_vision(outline);
                   }});
    out.push_back({"embeddinggemma",
                   {"gemma-embedding",
                    with(kGemma, {{"dense_2_feat_in", 64U},
                                  {"dense_2_feat_out", 128U},
                                  {"dense_3_feat_in", 128U},
                                  {"dense_3_feat_out", 64U}}),
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline&) {
                       draft.rename_architecture("gemma-embedding", "gemma3");
                       for (const char* key : {"dense_2_feat_in", "dense_2_feat_out", "dense_3_feat_in",
                                               "dense_3_feat_out", "rope.freq_base_swa"}) {
                           draft.remove(std::string("gemma3.") + key);
                       }
                       draft.set_u32("gemma3.attention.sliding_window_pattern", 6);
                       draft.rename_tensor("dense_2.weight", "dense.0.weight");
                       draft.rename_tensor("dense_3.weight", "dense.1.weight");
                       draft.rename_tensor("output_norm.weight", "norm.weight");
                   },
                   true});
    out.push_back({"gemma3n",
                   {"gemma3n",
                    {{"attention.head_count", 1U}, {"block_count", 22U}, {"attention.sliding_window", 16U}},
                    Words::kPieces},
                   [](Draft& draft, gguf::Outline& outline) {
                       add_words(draft, outline);
                       auto types = draft.i32s("tokenizer.ggml.token_type").value();
                       for (std::int32_t& type : types) type = type == 6 ? 1 : type;
                       draft.set_i32s("tokenizer.ggml.token_type", types);
                       Tensor* table = draft.tensor("token_embd.weight");
                       table->pieces = {{table->begin, table->bytes}, {table->begin, table->bytes / kTinyTokens * 2}};
                       table->shape[1] += 2;
                       table->bytes += table->pieces[1].bytes;
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                   }});
    out.push_back({"gemma4",
                   {"gemma4",
                    {{"block_count", 5U},
                     {"attention.key_length", 32U},
                     {"attention.value_length", 32U},
                     {"attention.key_length_swa", 32U},
                     {"attention.value_length_swa", 32U},
                     {"attention.sliding_window", 16U},
                     {"attention.sliding_window_pattern", std::vector<std::uint32_t>{1, 1, 1, 1, 0}},
                     {"attention.shared_kv_layers", 0U},
                     {"embedding_length_per_layer_input", 32U},
                     {"rope.freq_base_swa", 10'000.0F},
                     {"expert_count", 4U},
                     {"expert_used_count", 2U},
                     {"expert_feed_forward_length", 64U}},
                    Words::kGemma4},
                   [](Draft& draft, gguf::Outline& outline) {
                       draft.set_text("tokenizer.ggml.model", "llama");
                       EXPECT_NE(draft.tensor("blk.0.ffn_down_exps.scale"), nullptr);
                       draft.rename_part(".ffn_down_exps.scale", ".ffn_gate_inp.per_expert_scale");
                       // Gate and up of each expert one after the other become a tensor each.
                       std::vector<Tensor> ups;
                       for (Tensor& tensor : outline.tensors) {
                           const auto at = tensor.name.find("ffn_gate_up_exps");
                           if (at == std::string::npos) continue;
                           const std::uint64_t half = tensor.bytes / tensor.shape[2] / 2;
                           tensor.shape[1] /= 2;
                           tensor.bytes /= 2;
                           Tensor up = tensor;
                           tensor.name.replace(at, 16, "ffn_gate_exps");
                           up.name.replace(at, 16, "ffn_up_exps");
                           for (std::uint64_t i = 0; i < tensor.shape[2]; ++i) {
                               tensor.pieces.push_back({tensor.begin + 2 * i * half, half});
                               up.pieces.push_back({tensor.begin + (2 * i + 1) * half, half});
                           }
                           ups.push_back(up);
                       }
                       outline.tensors.insert(outline.tensors.end(), ups.begin(), ups.end());
                       add_vision(outline);
                       add_tensor(outline, "a.blk.0.ffn_up.weight");
                       add_tensor(outline, "model.vision_tower.x");
                   }});
    return out;
}
}  // namespace sutazai::llama
