#pragma once

#include <array>
#include <string_view>

namespace sutazai {

/// The levels of x86-64 processors that there are kernels for, lowest first. What a processor must have for each is in
/// kernels/cpu_level.cpp, what the compiler is told in cmake/llama.cmake.
inline constexpr std::array<std::string_view, 6> kCpuLevels{"x86-64-v2", "avx2",        "avx2-vnni",
                                                            "avx512",    "avx512-vnni", "avx512-bf16"};

}  // namespace sutazai
