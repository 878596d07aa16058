#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// Tiny models of random weights of any architecture that llama.cpp has: it is asked which tensors it wants.
namespace sutazai::llama {

using TinyValue = std::variant<std::uint32_t, float, bool, std::string, std::vector<std::uint32_t>>;

struct TinyShape {
    std::string architecture;
    /// Metadata under the architecture's name, beside tiny_shape()'s or in place of it.
    std::vector<std::pair<std::string, TinyValue>> values;
    enum class Words : std::uint8_t { kBytePairs, kPieces, kGemma4 } words = Words::kBytePairs;
    std::string pre = "default";            ///< of byte pairs: the pre-tokenizer
    bool mxfp4_experts = false;             ///< else all is F32
    std::vector<std::string> without = {};  ///< optional tensors that the file is not to have: what ends their names
};

/// Writes it. False, and a failed expectation, when llama.cpp does not take it.
[[nodiscard]] bool write_tiny_model(const TinyShape& shape, const std::filesystem::path& path);

inline constexpr std::uint32_t kTinyTokens = 288;

}  // namespace sutazai::llama
