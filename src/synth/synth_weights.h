#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sutazai::synth {

/// The random rows of one tensor. A row depends on the seed, the tensor's name and the row's number alone, so that
/// tensors and rows can be made in any order. Integer arithmetic up to one last multiplication: no library's
/// distribution takes part.
class RandomRows {
  public:
    RandomRows(std::uint64_t seed, std::string_view tensor);

    /// Bell-shaped values of mean 0 and the given standard deviation, none beyond 3.5 of them.
    void fill(std::uint64_t row, float deviation, std::span<float> out) const;

  private:
    std::uint64_t base_;
};

}  // namespace sutazai::synth
