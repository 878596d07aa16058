#include "llama/kv_fingerprint.h"

#include <fmt/format.h>
#include <llama-context.h>  // llama.cpp's own: nothing public tells
#include <llama.h>

#include <algorithm>
#include <cstdlib>

namespace sutazai::llama {
namespace {

/// A model's metadata value as text; "" when it has none.
std::string meta(const llama_model* model, const std::string& key) {
    char buffer[256];
    const int length = llama_model_meta_val_str(model, key.c_str(), buffer, sizeof buffer);
    return length < 0 ? std::string() : std::string(buffer, std::min<std::size_t>(length, sizeof buffer - 1));
}

std::string rope_type_name(llama_rope_type type) {
    switch (type) {
        case LLAMA_ROPE_TYPE_NONE: return "none";
        case LLAMA_ROPE_TYPE_NORM: return "norm";
        case LLAMA_ROPE_TYPE_NEOX: return "neox";
        default: return fmt::format("{}", static_cast<int>(type));
    }
}

/// Values per token and layer of keys or values, where the file says how wide a head is.
std::uint32_t width(const llama_model* model, const std::string& key) {
    const auto heads = static_cast<std::uint32_t>(std::max(1, llama_model_n_head(model)));
    const auto kv_heads = static_cast<std::uint32_t>(llama_model_n_head_kv(model));
    const std::string length = meta(model, key);
    if (!length.empty()) return static_cast<std::uint32_t>(std::strtoul(length.c_str(), nullptr, 10)) * kv_heads;
    return static_cast<std::uint32_t>(llama_model_n_embd(model)) / heads * kv_heads;
}

}  // namespace

bool uses_flash_attention(const llama_context* context) {
    return context->get_cparams().flash_attn;
}

KvBuild kv_build() {
    return {SUTAZAI_LLAMA_VERSION, LLAMA_STATE_SEQ_VERSION};
}

artifact::FingerprintParts kv_fingerprint_parts(const llama_model* model, const KvSettings& settings) {
    const KvBuild build = kv_build();
    artifact::FingerprintParts parts;
    parts.architecture = meta(model, "general.architecture");
    const std::string prefix = parts.architecture + ".";
    parts.type_k = settings.type_k;
    parts.type_v = settings.type_v;
    parts.flash_attention = settings.flash_attention;
    parts.n_layer = static_cast<std::uint32_t>(llama_model_n_layer(model));
    parts.n_head = static_cast<std::uint32_t>(llama_model_n_head(model));
    parts.n_head_kv = static_cast<std::uint32_t>(llama_model_n_head_kv(model));
    parts.n_embd = static_cast<std::uint32_t>(llama_model_n_embd(model));
    parts.n_embd_k = width(model, prefix + "attention.key_length");
    parts.n_embd_v = width(model, prefix + "attention.value_length");
    parts.sliding_window = static_cast<std::uint32_t>(llama_model_n_swa(model));
    parts.rope_type = rope_type_name(llama_model_rope_type(model));
    parts.rope_scaling = meta(model, prefix + "rope.scaling.type");
    const std::string base = meta(model, prefix + "rope.freq_base");
    parts.rope_freq_base = base.empty() ? 0 : std::strtof(base.c_str(), nullptr);
    parts.rope_freq_scale = llama_model_rope_freq_scale_train(model);
    // The file's own RoPE parameters are covered by its digest. These models choose between two sets by the context.
    if (parts.rope_scaling == "longrope" || parts.architecture == "phi3") {
        parts.rope_other = fmt::format("context {}", settings.context_per_sequence);
    }
    parts.llama_version = build.llama_version;
    parts.llama_state_version = build.state_version;
    return parts;
}

}  // namespace sutazai::llama
