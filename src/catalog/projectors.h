#pragma once

#include <string>
#include <string_view>
#include <vector>

/// Files that let a model take images, by their names: llama.cpp's converter and Hugging Face call them "mmproj". Pure.
namespace sutazai::catalog {

/// Whether a file, or a path to one, is called so.
[[nodiscard]] bool is_projector_name(std::string_view path);

/// The one of `projectors` that goes with a model's file, by what their names begin with beside "mmproj" and the type
/// of the numbers: "mmproj-gemma-3-4b-it-f16.gguf" goes with "gemma-3-4b-it-Q4_K_M.gguf". One that has no other name
/// goes with a model that is alone. Of several the one with the longest name; then F16, BF16, Q8_0, any other. Empty:
/// none does.
[[nodiscard]] std::string projector_for(std::string_view model, const std::vector<std::string>& projectors,
                                        bool is_alone);

}  // namespace sutazai::catalog
