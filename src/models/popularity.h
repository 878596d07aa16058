#pragma once

#include <cmath>
#include <cstdint>

namespace sutazai::models {

/// How much a model is asked for: its requests, each of which counts half as much after `half_life` further requests
/// for whatever model (LRFU: D. Lee et al., "LRFU: A Spectrum of Policies that Subsumes the Least Recently Used and
/// Least Frequently Used Policies", IEEE Transactions on Computers 50, 2001). Time that passes without requests changes
/// nothing. `now` counts the requests of all models. Pure.
class Popularity {
  public:
    static constexpr double kHalfLifeRequests = 50;

    void count(std::uint64_t now) {
        score_ = score(now) + 1;
        as_of_ = now;
    }
    [[nodiscard]] double score(std::uint64_t now) const {
        return score_ * std::exp2(-static_cast<double>(now - as_of_) / kHalfLifeRequests);
    }
    /// What was known of an earlier time.
    void begin_with(double score, std::uint64_t now) {
        score_ = score;
        as_of_ = now;
    }

  private:
    double score_ = 0;
    std::uint64_t as_of_ = 0;
};

}  // namespace sutazai::models
