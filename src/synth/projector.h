#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"

/// Projectors of random weights, which let a synthetic model take images, for tests. What it says of them means
/// nothing; it says the same of the same image.
namespace sutazai::synth {

struct ProjectorOptions {
    std::uint32_t embedding = 128;  ///< width of the model that it is for; a multiple of 32, at most 65536
    std::uint64_t seed = 1;
    std::filesystem::path output;  ///< replaced when complete
};

/// Rows that an image becomes: the side of an image in patches, squared.
inline constexpr std::uint32_t kProjectedRows = 16;

/// Writes a GGUF file of a LLaVA-1.5 projector ("mlp"): an encoder of two layers, of which the first is used, for
/// images of 32 x 32 pixels. Errors name the option at fault.
[[nodiscard]] Result<void> write_projector(const ProjectorOptions& options);

}  // namespace sutazai::synth
