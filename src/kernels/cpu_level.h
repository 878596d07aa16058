#pragma once

#include <ggml-backend.h>

#include <span>
#include <string_view>

/// The kernels of ggml and our own are compiled for several levels of processor; the best one that the processor has is
/// chosen when ggml's CPU backend is first asked for. docs/decisions/0018-one-binary-for-all-processors.md says why.
///
/// This file defines ggml_backend_cpu_reg(), by which ggml finds its CPU backend.
namespace sutazai::kernels {

struct LevelParts;

struct CpuLevel {
    std::string_view name;  ///< one of kCpuLevels, or native
    const LevelParts* parts;

    [[nodiscard]] bool has_own_attention() const;
    [[nodiscard]] bool has_own_products() const;
    /// logit_scan.h
    [[nodiscard]] bool scan_logits(std::span<const float> row, std::span<float> largest) const;
    /// ggml's CPU backend of this level with our kernels in it. Any thread.
    [[nodiscard]] ggml_backend_reg_t backend() const;
};

/// What this program was built for and this processor has, lowest first.
[[nodiscard]] std::span<const CpuLevel> cpu_levels();

/// The one in use: the best of cpu_levels() that is not above the environment variable SUTAZAI_CPU_LEVEL, where that is
/// set. Throws std::runtime_error when there is none, or no level has that name.
[[nodiscard]] const CpuLevel& cpu_level();

/// Which of `levels` that would be. `cap` is empty, or the name of a level.
[[nodiscard]] const CpuLevel& best_level(std::span<const CpuLevel> levels, std::string_view cap);

}  // namespace sutazai::kernels
