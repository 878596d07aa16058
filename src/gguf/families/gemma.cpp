#include <algorithm>
#include <string>

#include "gguf/families/families.h"

namespace sutazai::gguf {
namespace {

constexpr std::uint64_t kLongContext = 131072;

/// What Google publishes with the model, without images: the system message goes before the first question.
constexpr std::string_view kChatTemplate =
    "{{ bos_token }}"
    "{%- set first = '' -%}"
    "{%- set turns = messages -%}"
    "{%- if messages[0]['role'] == 'system' -%}"
    "{%- if messages[0]['content'] is string -%}"
    "{%- set first = messages[0]['content'] + '\\n\\n' -%}"
    "{%- else -%}"
    "{%- set first = messages[0]['content'][0]['text'] + '\\n\\n' -%}"
    "{%- endif -%}"
    "{%- set turns = messages[1:] -%}"
    "{%- endif -%}"
    "{%- for turn in turns -%}"
    "{{ '<start_of_turn>' + ('model' if turn['role'] == 'assistant' else turn['role']) + '\\n' }}"
    "{%- if loop.first -%}{{ first }}{%- endif -%}"
    "{%- if turn['content'] is string -%}{{ turn['content'] | trim }}"
    "{%- else -%}{%- for part in turn['content'] -%}{{ part['text'] | trim }}{%- endfor -%}{%- endif -%}"
    "{{ '<end_of_turn>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}";

/// Tokens of images that no row of the embedding table belongs to.
Result<void> shorten_vocabulary(Draft& draft, std::uint64_t rows) {
    for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
        if (auto step = draft.shorten(key, rows); !step) return step;
    }
    return {};
}

std::uint64_t tokens_of(const Outline& outline) {
    const Value* tokens = outline.find("tokenizer.ggml.tokens");
    return tokens == nullptr || tokens->type != kArray ? 0 : tokens->count;
}

/// Sentence embeddings: Ollama keeps them under gemma3, llama.cpp has an architecture for them, which looks both ways.
Changed translate_embeddings(Draft& draft) {
    draft.rename_architecture("gemma3", "gemma-embedding");
    draft.remove("gemma-embedding.attention.causal");
    draft.remove("gemma-embedding.attention.sliding_window_pattern");
    draft.set_f32_if_missing("gemma-embedding.attention.layer_norm_rms_epsilon", 1e-6F);
    draft.set_f32_if_missing("gemma-embedding.rope.freq_base", 1'000'000.0F);
    draft.set_f32_if_missing("gemma-embedding.rope.freq_base_swa", 10'000.0F);
    const Tensor* up = draft.tensor("dense.0.weight");
    const Tensor* down = draft.tensor("dense.1.weight");
    const auto width = draft.outline().number("gemma-embedding.embedding_length").value_or(0);
    // llama.cpp ends the process over other widths.
    if (up == nullptr || down == nullptr || up->shape[0] != width || down->shape[1] != width) {
        return fail(ErrorCode::kLoadFailed, "its dense layers do not begin and end at the model's width");
    }
    draft.set_u32("gemma-embedding.dense_2_feat_in", static_cast<std::uint32_t>(up->shape[0]));
    draft.set_u32("gemma-embedding.dense_2_feat_out", static_cast<std::uint32_t>(up->shape[1]));
    draft.set_u32("gemma-embedding.dense_3_feat_in", static_cast<std::uint32_t>(down->shape[0]));
    draft.set_u32("gemma-embedding.dense_3_feat_out", static_cast<std::uint32_t>(down->shape[1]));
    draft.rename_tensor("dense.0.weight", "dense_2.weight");
    draft.rename_tensor("dense.1.weight", "dense_3.weight");
    draft.rename_tensor("norm.weight", "output_norm.weight");
    return true;
}

}  // namespace

Changed translate_gemma3(Draft& draft) {
    const Outline& outline = draft.outline();
    const Tensor* table = outline.find_tensor("token_embd.weight");
    const bool longer = table != nullptr && tokens_of(outline) > table->shape[1];
    const bool old = outline.has("gemma3.mm.tokens_per_image") || outline.has("gemma3.rope.global.freq_base") ||
                     outline.has("gemma3.rope.local.freq_base") || outline.has("tokenizer.ggml.add_padding_token") ||
                     outline.has("tokenizer.ggml.add_unknown_token") ||
                     !outline.has("gemma3.attention.layer_norm_rms_epsilon") || has_vision(outline) || longer;
    const bool embeddings = outline.find_tensor("dense.0.weight") != nullptr;
    if (!old && !embeddings) return false;
    if (longer) {
        if (auto step = shorten_vocabulary(draft, table->shape[1]); !step) return std::unexpected(step.error());
    }
    drop_vision(draft);
    draft.move("gemma3.rope.global.freq_base", "gemma3.rope.freq_base");
    draft.move("gemma3.rope.local.freq_base", "gemma3.rope.freq_base_swa");
    draft.remove_all("gemma3.mm.");
    draft.remove("tokenizer.ggml.add_padding_token");
    draft.remove("tokenizer.ggml.add_unknown_token");
    if (embeddings) return translate_embeddings(draft);
    draft.set_f32_if_missing("gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
    draft.set_f32_if_missing("gemma3.rope.freq_base", 1'000'000.0F);
    draft.set_f32_if_missing("gemma3.rope.freq_base_swa", 10'000.0F);
    // 4B, 12B and 27B read eight times as far as they were first trained to; 1B and 270M do not.
    if (outline.number("gemma3.context_length").value_or(0) >= kLongContext &&
        !outline.has("gemma3.rope.scaling.type")) {
        draft.set_text("gemma3.rope.scaling.type", "linear");
        draft.set_f32_if_missing("gemma3.rope.scaling.factor", 8.0F);
    }
    draft.set_text_if_missing("tokenizer.chat_template", kChatTemplate);
    return true;
}

Changed translate_gemma3n(Draft& draft) {
    const Outline& outline = draft.outline();
    const Tensor* per_layer = outline.find_tensor("per_layer_token_embd.weight");
    Tensor* table = draft.tensor("token_embd.weight");
    const bool media = has_vision(outline) || outline.has_tensors_of("a.");
    const bool longer = per_layer != nullptr && table != nullptr && table->shape[1] > per_layer->shape[1];
    if (!longer) {
        if (!media) return false;
        drop_vision(draft);
        draft.drop_tensors("a.");
        return true;
    }
    // The last rows are tokens of images and sounds, which the table of each layer does not have.
    const std::uint64_t rows = per_layer->shape[1];
    if (auto step = shorten_vocabulary(draft, rows); !step) return std::unexpected(step.error());
    table->shape[1] = rows;
    table->pieces = {{.begin = table->begin, .bytes = size_of_tensor(table->type, table->shape).bytes}};
    drop_vision(draft);
    draft.drop_tensors("a.");
    draft.set_text("tokenizer.ggml.model", "llama");
    const auto tokens = draft.texts("tokenizer.ggml.tokens");
    if (!tokens) return std::unexpected(tokens.error());
    auto types = draft.i32s("tokenizer.ggml.token_type");
    if (!types) return std::unexpected(types.error());
    constexpr std::int32_t kNormal = 1;
    constexpr std::int32_t kByte = 6;
    for (std::size_t i = 0; i < std::min(tokens->size(), types->size()); ++i) {
        const std::string& token = (*tokens)[i];
        if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>')) (*types)[i] = kByte;
        if (token.starts_with("<unused")) (*types)[i] = kNormal;
    }
    if (!types->empty()) draft.set_i32s("tokenizer.ggml.token_type", *types);
    return true;
}

Changed translate_gemma4(Draft& draft) {
    const Outline& outline = draft.outline();
    bool changed = drop_vision(draft);
    changed = draft.drop_tensors("a.") || changed;
    changed = draft.drop_tensors("model.vision_tower.") || changed;
    // Its pieces are merged as BPE has it.
    if (outline.text("tokenizer.ggml.model") == "llama") {
        draft.set_text("tokenizer.ggml.model", "gemma4");
        changed = true;
    }
    constexpr std::string_view kOldScale = ".ffn_gate_inp.per_expert_scale";
    const bool scaled = std::ranges::any_of(
        outline.tensors, [&](const Tensor& tensor) { return tensor.name.find(kOldScale) != std::string::npos; });
    if (!scaled) return changed;
    draft.rename_part(kOldScale, ".ffn_down_exps.scale");
    return true;
}

}  // namespace sutazai::gguf
