#include "llama/numbers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace sutazai::llama {

bool are_logits(std::span<const float> row) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    // Lanes without branches, which the compiler turns into vectors.
    constexpr std::size_t kLanes = 16;
    std::array<std::int32_t, kLanes> wrong{};
    std::array<std::int32_t, kLanes> possible{};
    const auto look_at = [&](float value, std::size_t lane) {
        wrong[lane] |= value < kInfinity ? 0 : 1;  // NaN too
        possible[lane] |= value > -kInfinity ? 1 : 0;
    };
    std::size_t i = 0;
    for (; i + kLanes <= row.size(); i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) look_at(row[i + lane], lane);
    }
    for (; i < row.size(); ++i) look_at(row[i], 0);
    const auto is_set = [](std::int32_t lane) { return lane != 0; };
    return std::ranges::none_of(wrong, is_set) && std::ranges::any_of(possible, is_set);
}

}  // namespace sutazai::llama
