#pragma once

#include <chrono>

namespace sutazai::sched {

/// What handling n tokens costs when part of it does not depend on n: a line through what was measured, by least
/// squares with exponentially fading weights. One thread.
class LinearCost {
  public:
    using Duration = std::chrono::microseconds;

    void observe(int n, Duration took);
    /// Zero while nothing has been measured.
    [[nodiscard]] Duration of(int n) const;
    [[nodiscard]] bool known() const { return weight_ > 0; }

  private:
    static constexpr double kFade = 0.9;                       ///< weight of what was known before each new measurement
    double weight_ = 0, n_ = 0, us_ = 0, n_n_ = 0, n_us_ = 0;  ///< weighted sums
};

}  // namespace sutazai::sched
