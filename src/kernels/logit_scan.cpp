#include "kernels/logit_scan.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

namespace sutazai::kernels {
namespace {

// g++'s own vectors: it does not find them in a loop over arrays of this shape, and takes four times as long.
#if defined(__AVX2__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif
using Floats = float __attribute__((vector_size(kVectorBytes)));
using Bits = std::int32_t __attribute__((vector_size(kVectorBytes)));
constexpr std::size_t kLanes = kVectorBytes / sizeof(float);
static_assert(kScanBlock % kLanes == 0);

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int32_t kBitsOfInfinity = 0x7f800000;

/// Of what has been taken so far, each lane by itself.
struct Most {
    Floats value;
    Bits bits;  ///< of a value without its sign: those of NaN are more than infinity's

    void take(const float* from) {
        Floats next;
        std::memcpy(&next, from, sizeof next);
        const Bits next_bits = std::bit_cast<Bits>(next) & 0x7fffffff;
        value = next > value ? next : value;
        bits = next_bits > bits ? next_bits : bits;
    }
    [[nodiscard]] float largest() const {
        float most = -kInfinity;
        for (std::size_t lane = 0; lane < kLanes; ++lane) most = value[lane] > most ? value[lane] : most;
        return most;
    }
    [[nodiscard]] bool has_nan() const {
        bool has = false;
        for (std::size_t lane = 0; lane < kLanes; ++lane) has |= bits[lane] > kBitsOfInfinity;
        return has;
    }
};

}  // namespace

bool scan_logits_at_level(std::span<const float> row, std::span<float> largest) {
    Most most{};
    float largest_of_all = -kInfinity;
    const auto scan_block = [&](const float* block) {
        most.value = Floats{} - kInfinity;
        for (std::size_t i = 0; i < kScanBlock; i += kLanes) most.take(block + i);
        const float of_block = most.largest();
        largest_of_all = of_block > largest_of_all ? of_block : largest_of_all;
        return of_block;
    };
    const std::size_t n_whole = row.size() / kScanBlock;
    for (std::size_t block = 0; block < n_whole; ++block) largest[block] = scan_block(&row[block * kScanBlock]);
    if (const auto rest = row.subspan(n_whole * kScanBlock); !rest.empty()) {
        float filled[kScanBlock];
        std::fill(std::copy(rest.begin(), rest.end(), filled), filled + kScanBlock, -kInfinity);
        largest[n_whole] = scan_block(filled);
    }
    return !most.has_nan() && largest_of_all < kInfinity && largest_of_all > -kInfinity;
}

}  // namespace sutazai::kernels
