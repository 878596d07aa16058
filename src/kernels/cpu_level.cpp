#include "kernels/cpu_level.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml-cpu.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <vector>

#include "base/cpu_levels.h"
#include "kernels/level_parts.h"
#include "kernels/logit_scan.h"
#include "kernels/own_kernels.h"
#include "kernels/stand_ins.h"

// The entries of the levels that this program is built for: LEVEL(identifier, name), lowest first.
#define LEVEL(identifier, name) extern "C" sutazai::kernels::LevelEntry sutazai_level_##identifier;
#include "levels.inc"
#undef LEVEL

namespace sutazai::kernels {
namespace {

bool processor_has(std::string_view level) {
#if defined(__x86_64__)
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("movbe");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    const bool vnni = v4 && __builtin_cpu_supports("avx512vnni");
    if (level == "x86-64-v2") return v2;
    if (level == "avx2") return v3;
    if (level == "avx2-vnni") return v3 && __builtin_cpu_supports("avxvnni") && __builtin_cpu_supports("gfni");
    if (level == "avx512") return v4;
    if (level == "avx512-vnni") return vnni;
    if (level == "avx512-bf16") {
        return vnni && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("gfni");
    }
#endif
    return level == "native";
}

std::ptrdiff_t rank(std::string_view level) {
    return std::ranges::find(kCpuLevels, level) - kCpuLevels.begin();
}

}  // namespace

bool CpuLevel::has_own_attention() const {
    return parts->has_attention;
}

bool CpuLevel::has_own_products() const {
    return parts->has_products;
}

bool CpuLevel::scan_logits(std::span<const float> row, std::span<float> largest) const {
    return parts->scan_logits(row, largest);
}

bool scan_logits(std::span<const float> row, std::span<float> largest) {
    return cpu_level().scan_logits(row, largest);
}

ggml_backend_reg_t CpuLevel::backend() const {
    static std::mutex mutex;
    static std::set<const LevelParts*> installed;
    const std::scoped_lock lock(mutex);
    if (installed.insert(parts).second) {
        parts->install();
        install_stand_ins(parts->ggml_backend());
    }
    return parts->ggml_backend();
}

std::span<const CpuLevel> cpu_levels() {
    static const std::vector<CpuLevel> levels = [] {
        std::vector<CpuLevel> here;
#define LEVEL(identifier, name) \
    if (processor_has(name)) here.push_back({name, sutazai_level_##identifier()});
#include "levels.inc"
#undef LEVEL
        return here;
    }();
    return levels;
}

const CpuLevel& best_level(std::span<const CpuLevel> levels, std::string_view cap) {
    if (!cap.empty() && rank(cap) == std::ssize(kCpuLevels)) {
        throw std::runtime_error(
            fmt::format("SUTAZAI_CPU_LEVEL must be one of {}, not '{}'", fmt::join(kCpuLevels, ", "), cap));
    }
    for (std::size_t i = levels.size(); i > 0; --i) {
        // A program that was built for one processor has one level, which no cap can lower.
        const CpuLevel& level = levels[i - 1];
        if (cap.empty() || rank(level.name) <= rank(cap) || level.name == "native") return level;
    }
    throw std::runtime_error(
        cap.empty() ? std::string("this program was not built for this processor: it needs at least SSE 4.2")
                    : fmt::format("SUTAZAI_CPU_LEVEL: this program was not built for processors as low as {}", cap));
}

const CpuLevel& cpu_level() {
    static const CpuLevel& chosen = [] -> const CpuLevel& {
        const char* cap = std::getenv("SUTAZAI_CPU_LEVEL");
        return best_level(cpu_levels(), cap == nullptr ? "" : cap);
    }();
    return chosen;
}

}  // namespace sutazai::kernels

ggml_backend_reg_t ggml_backend_cpu_reg() {
    return sutazai::kernels::cpu_level().backend();
}
