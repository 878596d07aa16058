#include "sched/step_cost.h"

#include <algorithm>

namespace sutazai::sched {

StepCost::Duration StepCost::decode_step(int n) const {
    // Decoding is bound by reading the weights: a step's time hardly depends on n. More sequences than seen so far are
    // charged in proportion beyond the smoothed number, half of the time being the weights'.
    if (!seen_decode_) return Duration(0);
    const double ratio = decode_n_ > 0 ? n / decode_n_ : 1.0;
    return Duration(static_cast<Duration::rep>(decode_base_us_ * (0.5 + 0.5 * ratio)));
}

void StepCost::observe(int n_decode, int n_prefill, Duration took) {
    const auto us = static_cast<double>(took.count());
    const auto blend = [](double& mean, double value, bool& seen) {
        mean = seen ? mean + kWeight * (value - mean) : value;
        seen = true;
    };
    if (n_prefill == 0) {
        bool seen = seen_decode_;
        blend(decode_base_us_, us, seen_decode_);
        blend(decode_n_, n_decode, seen);
        return;
    }
    if (n_prefill < kLeastPrefillTokens) return;  // too few to tell their cost from the step's own
    const double decode_us = n_decode > 0 ? static_cast<double>(decode_step(n_decode).count()) : 0.0;
    blend(prefill_us_, std::max(1.0, (us - decode_us) / n_prefill), seen_prefill_);
}

int StepCost::prefill_tokens_within(Duration stretch) const {
    const double tokens = static_cast<double>(stretch.count()) / std::max(1.0, prefill_us_);
    return std::max(kLeastPrefillTokens, static_cast<int>(std::min(tokens, 1e6)));
}

}  // namespace sutazai::sched
