#pragma once

#include <cstdint>
#include <string>

#include "artifact/fingerprint.h"

struct llama_context;
struct llama_model;

namespace sutazai::llama {

/// What this build's KV states depend on, whatever the model.
struct KvBuild {
    std::string llama_version;        ///< "v0.5.0"; with a hash of its source when that is another one
    std::uint32_t state_version = 0;  ///< of the bytes that llama.cpp makes of a sequence
};
[[nodiscard]] KvBuild kv_build();

/// How a context keeps KV.
struct KvSettings {
    std::string type_k;  ///< ggml_type_name()
    std::string type_v;
    bool flash_attention = true;   ///< V lies transposed without it
    int context_per_sequence = 0;  ///< tokens; counts where the model picks its RoPE factors by it
};

/// As it is in effect: what is asked for may be decided by llama.cpp, per architecture and device.
[[nodiscard]] bool uses_flash_attention(const llama_context* context);

/// Everything that makes KV states of a loaded model valid, but the weights' digest, which the caller fills in.
[[nodiscard]] artifact::FingerprintParts kv_fingerprint_parts(const llama_model* model, const KvSettings& settings);

}  // namespace sutazai::llama
