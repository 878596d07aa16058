#pragma once

#include <ggml-backend.h>

#include <span>

/// What is compiled once for each level of processor, as the rest of the module sees it.
///
/// The part of a level is ggml's CPU backend, adapter_rows.cpp, attention.cpp, logit_scan.cpp, matmul.cpp and
/// level_parts.cpp, all with the flags of that level, linked into one object in which every symbol is local but its
/// entry: the same names, inline functions of the standard library among them, exist once for each level and never
/// meet. Nothing else may be compiled with such flags.
namespace sutazai::kernels {

struct LevelParts {
    ggml_backend_reg_t (*ggml_backend)();
    /// Puts our kernels and barrier in the place of ggml's. Once, before this backend computes anything.
    void (*install)();
    bool (*scan_logits)(std::span<const float> row, std::span<float> largest);  ///< logit_scan.h
    bool has_attention;
    bool has_products;
};

using LevelEntry = const LevelParts*();

}  // namespace sutazai::kernels
