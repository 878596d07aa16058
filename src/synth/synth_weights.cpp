#include "synth/synth_weights.h"

#include <bit>

namespace sutazai::synth {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t next_splitmix(std::uint64_t& state) {
    std::uint64_t z = state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

/// xoshiro256++ (Blackman, Vigna 2019).
class Xoshiro {
  public:
    explicit Xoshiro(std::uint64_t seed) {
        for (auto& word : state_) word = next_splitmix(seed);
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

  private:
    std::uint64_t state_[4];
};

}  // namespace

RandomRows::RandomRows(std::uint64_t seed, std::string_view tensor) : base_(0xCBF29CE484222325ULL) {
    for (const char c : tensor) base_ = (base_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;  // FNV-1a
    std::uint64_t mixed = seed;
    base_ ^= next_splitmix(mixed);
}

void RandomRows::fill(std::uint64_t row, float deviation, std::span<float> out) const {
    std::uint64_t state = base_ + row;
    Xoshiro random(next_splitmix(state));
    // The sum of four uniform numbers of 16 bits is close to normal: mean 2 * 65535, deviation 65536 / sqrt(3).
    const float scale = deviation * (1.7320508F / 65536.0F);
    for (float& value : out) {
        const std::uint64_t bits = random.next();
        const auto sum = static_cast<std::int32_t>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) + ((bits >> 32) & 0xFFFF) +
                                                   (bits >> 48));
        value = static_cast<float>(sum - 2 * 65535) * scale;
    }
}

}  // namespace sutazai::synth
