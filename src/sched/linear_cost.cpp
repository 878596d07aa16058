#include "sched/linear_cost.h"

#include <algorithm>

namespace sutazai::sched {

void LinearCost::observe(int n, Duration took) {
    const double x = n;
    const auto y = static_cast<double>(took.count());
    for (double* sum : {&weight_, &n_, &us_, &n_n_, &n_us_}) *sum *= kFade;
    weight_ += 1;
    n_ += x;
    us_ += y;
    n_n_ += x * x;
    n_us_ += x * y;
}

LinearCost::Duration LinearCost::of(int n) const {
    if (!known() || n <= 0) return Duration(0);
    const double spread = weight_ * n_n_ - n_ * n_;
    const double mean_n = n_ / weight_;
    const double mean_us = us_ / weight_;
    // Sizes that hardly differ say nothing of the slope: in proportion then, which is also the upper end of what is
    // plausible. Neither part can be negative.
    double slope = mean_us / std::max(1.0, mean_n);
    if (spread > 0.01 * n_ * n_) slope = std::clamp((weight_ * n_us_ - n_ * us_) / spread, 0.0, slope);
    const double fixed = mean_us - slope * mean_n;
    return Duration(static_cast<Duration::rep>(fixed + slope * n));
}

}  // namespace sutazai::sched
