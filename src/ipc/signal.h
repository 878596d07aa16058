#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
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

    /// Returns after the next notify(), or at `deadline`. The signal outlives the wait, but may be gone when an
    /// execution context destroys a coroutine that still waits. Asio cancellation ends it with an operation_aborted
    /// exception.
    [[nodiscard]] boost::asio::awaitable<void> wait(Clock::time_point deadline);

    /// Resumes all who wait now, through their executor's queue, not from within.
    void notify();

  private:
    using Waiting = std::vector<boost::asio::steady_timer*>;

    std::shared_ptr<Waiting> waiting_ = std::make_shared<Waiting>();
};

}  // namespace sutazai::ipc
