#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <vector>

namespace sutazai::ipc {

/// Lets coroutines of one thread wait for "something has changed". Who waits looks at the state again afterwards.
class Signal {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr Clock::time_point kEver = Clock::time_point::max();

    Signal() = default;
    Signal(const Signal&) = delete;
    Signal& operator=(const Signal&) = delete;

    /// Returns after the next notify(), or at `deadline`. The signal outlives the wait. Asio cancellation ends it with
    /// an operation_aborted exception.
    [[nodiscard]] boost::asio::awaitable<void> wait(Clock::time_point deadline);

    /// Resumes all who wait now, through their executor's queue, not from within.
    void notify();

  private:
    std::vector<boost::asio::steady_timer*> waiting_;
};

}  // namespace sutazai::ipc
