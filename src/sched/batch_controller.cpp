#include "sched/batch_controller.h"

#include <algorithm>

namespace sutazai::sched {

BatchController::BatchController(int start, int most)
    : width_(std::clamp(start, 1, most)), most_(most), rate_(static_cast<std::size_t>(most) + 1, 0.0) {}

int BatchController::wider(int width) const {
    return std::min(most_, std::max(width + 1, rising_ ? width * 3 / 2 : width * 5 / 4));
}

void BatchController::observe(int n, std::chrono::microseconds took, bool demand) {
    // Only steps at about the full width with somebody left outside say what a place more or less is worth. Where
    // answers are short, some of the places are always held by a newcomer whose prompt is still being read.
    if (4 * n < 3 * width_ || !demand) {
        steps_ = 0;
        tokens_ = seconds_ = 0;
        return;
    }
    tokens_ += n;
    seconds_ += std::chrono::duration<double>(took).count();
    if (++steps_ < kWindowSteps) return;
    const double tokens_per_s = tokens_ / std::max(seconds_, 1e-9);
    steps_ = 0;
    tokens_ = seconds_ = 0;
    finish_window(tokens_per_s);
}

void BatchController::finish_window(double tokens_per_s) {
    double& rate = rate_[static_cast<std::size_t>(width_)];
    rate = rate == 0 ? tokens_per_s : 0.5 * rate + 0.5 * tokens_per_s;
    const auto best = std::ranges::max_element(rate_);

    if (tried_from_ != 0) {
        if (rate < kTolerance * *best) {
            width_ = tried_from_;
            rising_ = false;
            wait_windows_ = patience_;
            patience_ = std::min(patience_ * 2, 64 * kPatience);
        } else {
            patience_ = kPatience;
        }
        tried_from_ = 0;
        return;
    }
    if (rate < kTolerance * *best) {
        // The machine has changed under us, or the best was luck: move a step toward it and let the memory fade.
        const int toward = static_cast<int>(best - rate_.begin());
        *best = 0.5 * *best + 0.5 * rate;
        width_ += toward > width_ ? std::max(1, (toward - width_) / 2) : std::min(-1, (toward - width_) / 2);
        return;
    }
    if (wait_windows_ > 0) {
        --wait_windows_;
        return;
    }
    if (width_ < most_) {
        tried_from_ = width_;
        width_ = wider(width_);
    }
}

}  // namespace sutazai::sched
