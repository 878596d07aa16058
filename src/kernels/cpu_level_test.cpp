#include "kernels/cpu_level.h"

#include <ggml-backend.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpu_levels.h"
#include "kernels/level_backend.h"

namespace sutazai::kernels {
namespace {

std::set<std::string> features(const CpuLevel& level) {
    std::set<std::string> names;
    for (const auto* feature = reinterpret_cast<ggml_backend_get_features_t>(
             ggml_backend_reg_get_proc_address(level.backend(), "ggml_backend_get_features"))(level.backend());
         feature->name != nullptr; ++feature) {
        names.insert(feature->name);
    }
    return names;
}

TEST(CpuLevelTest, EachIsGgmlCompiledForIt) {
    ASSERT_FALSE(cpu_levels().empty());
    for (const CpuLevel& level : cpu_levels()) {
        if (level.name == "native") continue;
        SCOPED_TRACE(level.name);
        const auto has = features(level);
        EXPECT_EQ(has.contains("AVX2"), level.name != "x86-64-v2");
        EXPECT_EQ(has.contains("AVX_VNNI"), level.name == "avx2-vnni");
        EXPECT_EQ(has.contains("AVX512"), level.name.starts_with("avx512"));
        EXPECT_EQ(has.contains("AVX512_VNNI"), level.name == "avx512-vnni" || level.name == "avx512-bf16");
        EXPECT_EQ(has.contains("AVX512_BF16"), level.name == "avx512-bf16");
        EXPECT_EQ(level.has_own_attention(), has.contains("AVX2"));
        EXPECT_EQ(level.has_own_products(), has.contains("AVX512_VNNI"));
    }
}

TEST(CpuLevelTest, LowestFirstAndByKnownNames) {
    std::vector<std::ptrdiff_t> ranks;
    for (const CpuLevel& level : cpu_levels()) {
        if (level.name == "native") continue;
        ranks.push_back(std::ranges::find(kCpuLevels, level.name) - kCpuLevels.begin());
        EXPECT_LT(ranks.back(), std::ssize(kCpuLevels)) << level.name;
    }
    EXPECT_TRUE(std::ranges::is_sorted(ranks));
}

TEST(CpuLevelTest, TheBestThatTheCapAllows) {
    constexpr std::array kHere{CpuLevel{"x86-64-v2", nullptr}, CpuLevel{"avx2", nullptr},
                               CpuLevel{"avx512-vnni", nullptr}};
    EXPECT_EQ(best_level(kHere, "").name, "avx512-vnni");
    EXPECT_EQ(best_level(kHere, "avx512-bf16").name, "avx512-vnni");
    EXPECT_EQ(best_level(kHere, "avx512-vnni").name, "avx512-vnni");
    EXPECT_EQ(best_level(kHere, "avx512").name, "avx2");
    EXPECT_EQ(best_level(kHere, "avx2").name, "avx2");
    EXPECT_EQ(best_level(kHere, "x86-64-v2").name, "x86-64-v2");
    constexpr std::array kOne{CpuLevel{"native", nullptr}};
    EXPECT_EQ(best_level(kOne, "avx2").name, "native");
}

std::string refusal(std::span<const CpuLevel> levels, std::string_view cap) {
    try {
        return std::string(best_level(levels, cap).name);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
}

TEST(CpuLevelTest, WhatCannotBeIsSaid) {
    constexpr std::array kHere{CpuLevel{"avx512", nullptr}};
    EXPECT_EQ(
        refusal(kHere, "sse9"),
        "SUTAZAI_CPU_LEVEL must be one of x86-64-v2, avx2, avx2-vnni, avx512, avx512-vnni, avx512-bf16, not 'sse9'");
    EXPECT_EQ(refusal(kHere, "avx2"), "SUTAZAI_CPU_LEVEL: this program was not built for processors as low as avx2");
    EXPECT_EQ(refusal({}, ""), "this program was not built for this processor: it needs at least SSE 4.2");
}

TEST(CpuLevelTest, GgmlFindsTheOneInUse) {
    EXPECT_EQ(ggml_backend_dev_backend_reg(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)),
              cpu_level().backend());
    const char* cap = std::getenv("SUTAZAI_CPU_LEVEL");
    EXPECT_EQ(cpu_level().name, best_level(cpu_levels(), cap == nullptr ? "" : cap).name);
}

TEST(CpuLevelTest, LlamaIsNotOfferedOurBufferTypeForWeights) {
    for (const CpuLevel& level : cpu_levels()) {
        for (auto* type : LevelBackend(level).extra_types()) EXPECT_STRNE(ggml_backend_buft_name(type), "SutazAI");
    }
}

}  // namespace
}  // namespace sutazai::kernels
