#pragma once

#include <chrono>
#include <vector>

namespace sutazai::sched {

/// How many sequences to decode together. Starts at BATCH_SIZE and moves between 1 and BATCH_SIZE_MAX while requests
/// wait for a place: wider as long as that does not cost throughput, back to the best width known when it does.
///
/// Tokens per second are measured over windows of decode steps at about the full width. From width w the next one tried
/// is about w * 3/2 until a try has failed, then w * 5/4; it is kept when its throughput is at least kTolerance of the
/// best seen, else the controller goes back and leaves that width alone for kPatience windows, twice as many after each
/// failure in a row: it converges, and still follows a machine that changes. One thread, no clock.
class BatchController {
  public:
    BatchController(int start, int most);

    [[nodiscard]] int batch_width() const { return width_; }

    /// One decode step of `n` sequences, less what its prefill cost; `demand`: did anybody wait for a place.
    void observe(int n, std::chrono::microseconds took, bool demand);

    static constexpr int kWindowSteps = 8;
    static constexpr double kTolerance = 0.97;
    static constexpr int kPatience = 16;

  private:
    void finish_window(double tokens_per_s);
    [[nodiscard]] int wider(int width) const;

    int width_;
    int most_;
    int steps_ = 0;
    double tokens_ = 0;
    double seconds_ = 0;
    std::vector<double> rate_;  ///< [width] smoothed tokens/s, 0: never measured
    int wait_windows_ = 0;      ///< until the next wider width is tried
    int patience_ = kPatience;
    bool rising_ = true;  ///< no try has failed yet
    int tried_from_ = 0;  ///< the width before the try that is under way; 0: none is
};

}  // namespace sutazai::sched
