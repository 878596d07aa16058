#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"

namespace sutazai::llama {

/// Buffers of a tensor's rows while they are converted take so much at most; beside that a process holds no more than
/// the weights of one tensor, mapped (docs/decisions/0031-a-store-of-its-own.md has what was measured).
inline constexpr std::uint64_t kQuantiseBufferBytes = 256 << 20;

struct QuantiseWork {
    std::string input;          ///< a GGUF file of F32, F16 or BF16
    std::string output;         ///< written over
    std::string type;           ///< "Q4_K_M": one of store/quantisations.h
    std::uint32_t threads = 0;  ///< 0: one a processor
};

/// Told of bytes that the output will have, about, before the first is written.
using OnSize = std::function<void(std::uint64_t bytes)>;

/// Makes the file by llama_model_quantize(). Cannot be stopped, and ggml may abort: for a process of its own.
/// kLoadFailed with llama.cpp's reason. Takes llama.cpp's log for itself.
[[nodiscard]] Result<void> quantise(const QuantiseWork& work, const OnSize& on_size);

}  // namespace sutazai::llama
