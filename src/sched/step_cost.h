#pragma once

#include <chrono>

namespace sutazai::sched {

/// What a step costs, learnt from the steps themselves: a pure decode step's time, and the time that each prefill token
/// adds to it. Exponentially weighted means; no assumptions about the machine beyond the first guess. One thread.
class StepCost {
  public:
    using Duration = std::chrono::microseconds;

    void observe(int n_decode, int n_prefill, Duration took);

    [[nodiscard]] Duration per_prefill_token() const { return Duration(static_cast<Duration::rep>(prefill_us_)); }
    /// Time of a step that only decodes `n` sequences.
    [[nodiscard]] Duration decode_step(int n) const;

    /// How many prefill tokens lengthen a step by about `stretch`; at least kLeastPrefillTokens, so that a prompt
    /// always gets on however slow the machine is.
    [[nodiscard]] int prefill_tokens_within(Duration stretch) const;
    static constexpr int kLeastPrefillTokens = 16;

  private:
    static constexpr double kWeight = 0.2;
    double prefill_us_ = 500;    ///< first guess: 2,000 tokens a second
    double decode_base_us_ = 0;  ///< smoothed time of pure decode steps
    double decode_n_ = 0;        ///< smoothed number of sequences in them
    bool seen_decode_ = false;
    bool seen_prefill_ = false;
};

}  // namespace sutazai::sched
