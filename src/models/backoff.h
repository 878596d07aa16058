#pragma once

#include <algorithm>
#include <chrono>

namespace sutazai::models {

/// When a model that failed may be tried again: at once after a single crash, else after a time that doubles with each
/// failure. Knows no clock.
class Backoff {
  public:
    using Clock = std::chrono::steady_clock;
    using Duration = std::chrono::milliseconds;

    Backoff(Duration first, Duration longest, Duration stable_after)
        : first_(first), longest_(longest), stable_after_(stable_after) {}

    void load_failed(Clock::time_point now) {
        wait_from(now);
        ++n_failures_;
    }

    /// The engine ended by itself after `uptime`.
    void crashed(Clock::time_point now, Clock::duration uptime) {
        if (uptime >= stable_after_) n_failures_ = 0;
        if (n_failures_ == 0) {
            next_delay_ = first_;
            retry_at_ = now;
        } else {
            wait_from(now);
        }
        ++n_failures_;
    }

    /// The engine was ended on purpose.
    void forget() { n_failures_ = 0; }

    [[nodiscard]] bool refuses(Clock::time_point now) const { return n_failures_ > 0 && now < retry_at_; }

    [[nodiscard]] Clock::time_point retry_at() const { return retry_at_; }

    /// Whole seconds, at least 1.
    [[nodiscard]] int retry_after_s(Clock::time_point now) const {
        const auto left = std::chrono::ceil<std::chrono::seconds>(retry_at_ - now).count();
        return static_cast<int>(std::max<decltype(left)>(left, 1));
    }

  private:
    void wait_from(Clock::time_point now) {
        if (n_failures_ == 0) next_delay_ = first_;
        retry_at_ = now + next_delay_;
        next_delay_ = std::min(2 * next_delay_, longest_);
    }

    Duration first_, longest_, stable_after_;
    Duration next_delay_{0};
    int n_failures_ = 0;  // in a row
    Clock::time_point retry_at_;
};

}  // namespace sutazai::models
