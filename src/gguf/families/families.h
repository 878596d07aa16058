#pragma once

#include "gguf/draft.h"

/// One function a family: makes of a file's outline what llama.cpp v0.5.0 expects, and says whether there was anything
/// to do. Facts: Ollama's own translation, `llama/compat` of ollama/ollama at fb30760, and llama.cpp's src/models.
/// Errors are kLoadFailed: why it cannot be done.
namespace sutazai::gguf {

using Changed = Result<bool>;

[[nodiscard]] Changed translate_gemma3(Draft& draft);
[[nodiscard]] Changed translate_gemma3n(Draft& draft);
[[nodiscard]] Changed translate_gemma4(Draft& draft);
[[nodiscard]] Changed translate_llama3(Draft& draft);
[[nodiscard]] Changed translate_llama4(Draft& draft);
[[nodiscard]] Changed translate_gpt_oss(Draft& draft);
[[nodiscard]] Changed translate_qwen25vl(Draft& draft);
[[nodiscard]] Changed translate_qwen3vl(Draft& draft);
[[nodiscard]] Changed translate_qwen35(Draft& draft);
[[nodiscard]] Changed translate_qwen3next(Draft& draft);
[[nodiscard]] Changed translate_mistral3(Draft& draft);
[[nodiscard]] Changed translate_deepseek_ocr(Draft& draft);
[[nodiscard]] Changed translate_glm_ocr(Draft& draft);
[[nodiscard]] Changed translate_glm4_moe_lite(Draft& draft);
[[nodiscard]] Changed translate_lfm2(Draft& draft);
[[nodiscard]] Changed translate_olmo3(Draft& draft);
[[nodiscard]] Changed translate_nemotron_h_moe(Draft& draft);
[[nodiscard]] Changed translate_nemotron_h_omni(Draft& draft);
[[nodiscard]] Changed translate_laguna(Draft& draft);
[[nodiscard]] Changed translate_arctic_embed2(Draft& draft);

/// Vision and what leads from it into the model's width. True when there were any.
inline bool drop_vision(Draft& draft) {
    const bool vision = draft.drop_tensors("v.");
    return draft.drop_tensors("mm.") || vision;
}
inline bool has_vision(const Outline& outline) {
    return outline.has_tensors_of("v.") || outline.has_tensors_of("mm.");
}

/// Under which the file has no pre-tokenizer of its own.
inline bool has_no_pre_tokenizer(const Outline& outline) {
    const std::string_view pre = outline.text("tokenizer.ggml.pre");
    return pre.empty() || pre == "default";
}

/// llama.cpp wants four sections of a rotation over several axes, some files have three.
void set_rope_sections(Draft& draft, std::string_view key, const std::vector<std::uint64_t>& sections);

}  // namespace sutazai::gguf
