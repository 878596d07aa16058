#include "llama/logprobs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>

namespace sutazai::llama {
namespace {

/// e^x for x <= 0 in a form that the compiler turns into vectors: 2^n times a polynomial (Cephes' expf), relative error
/// below 2e-7. Below -87, where the result would leave the floats, it is 0.
inline float exp_of_negative(float x) {
    const float clamped = x > -87.0F ? x : -87.0F;  // NaN too
    const float n = std::floor(clamped * 1.44269504088896341F + 0.5F);
    const float r = (clamped - n * 0.693359375F) - n * -2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    const float scale = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
    return x > -87.0F ? p * scale : 0.0F;
}

}  // namespace

float log_sum_exp(const LogitRow& row) {
    const std::span<const float> logits = row.logits();
    const float largest = row.largest();
    // Lanes of floats over short blocks, blocks added up in double: quick, and nothing small is lost beside the large.
    constexpr std::size_t kLanes = 16;
    constexpr std::size_t kBlock = 4096;
    double total = 0;
    for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
        const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
        std::array<float, kLanes> lanes{};
        std::size_t i = 0;
        for (; i + kLanes <= block.size(); i += kLanes) {
            for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += exp_of_negative(block[i + lane] - largest);
        }
        for (; i < block.size(); ++i) total += static_cast<double>(exp_of_negative(block[i] - largest));
        for (const float lane : lanes) total += static_cast<double>(lane);
    }
    return largest + static_cast<float>(std::log(total));
}

}  // namespace sutazai::llama
