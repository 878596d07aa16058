#pragma once

#include <fmt/format.h>

#include <chrono>

#include "base/error.h"

namespace sutazai::engine {

/// How long a request may wait without having begun. Any thread.
class QueueTimeout {
  public:
    using Clock = std::chrono::steady_clock;

    explicit QueueTimeout(std::chrono::microseconds limit) : limit_(limit) {}  ///< 0: for ever

    [[nodiscard]] bool is_set() const { return limit_ > std::chrono::microseconds(0); }
    /// What was submitted before it has waited too long. Only if it is set.
    [[nodiscard]] Clock::time_point bound() const { return Clock::now() - limit_; }
    [[nodiscard]] bool is_over(Clock::time_point submitted) const { return is_set() && submitted < bound(); }

    /// What a request that has waited too long is told.
    [[nodiscard]] Error error() const {
        return {ErrorCode::kQueueTimeout,
                fmt::format("the request waited for {} s without beginning",
                            std::chrono::duration_cast<std::chrono::seconds>(limit_).count())};
    }

  private:
    std::chrono::microseconds limit_;
};

}  // namespace sutazai::engine
