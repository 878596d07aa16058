#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ipc/signal.h"
#include "upstream/connection.h"

namespace sutazai::upstream {

/// The connections to one upstream: so many exchanges at once, others wait their turn; a connection whose exchange has
/// ended well is kept for the next. One I/O thread.
class Pool : public std::enable_shared_from_this<Pool> {
  public:
    using Clock = std::chrono::steady_clock;

    Pool(std::size_t most_places, std::size_t most_waiting) : most_places_(most_places), most_waiting_(most_waiting) {}

    /// Of one exchange; free again when it goes.
    class Place {
      public:
        Place() = default;
        explicit Place(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
        Place(Place&& other) noexcept = default;
        Place& operator=(Place&&) = delete;
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place() {
            if (pool_) pool_->leave();
        }

      private:
        std::shared_ptr<Pool> pool_;
    };

    /// Waits until there is a place. kQueueFull when too many wait already, kQueueTimeout at the deadline.
    [[nodiscard]] boost::asio::awaitable<Result<Place>> enter(Clock::time_point deadline);

    /// A kept connection that the other side has not closed; null when there is none.
    [[nodiscard]] std::unique_ptr<Connection> take_idle();
    void put_idle(std::unique_ptr<Connection> connection);
    /// Closes what has been idle for long.
    void prune();
    void close_idle() { idle_.clear(); }
    [[nodiscard]] std::size_t n_idle() const { return idle_.size(); }
    [[nodiscard]] std::size_t n_places_taken() const { return n_taken_; }
    [[nodiscard]] std::size_t n_waiting() const { return waiting_.size(); }

  private:
    struct Turn {
        bool has_come = false;
        ipc::Signal signal;
    };
    class Queueing;

    void leave();

    std::size_t most_places_;
    std::size_t most_waiting_;
    std::size_t n_taken_ = 0;
    std::list<Turn*> waiting_;
    std::vector<std::unique_ptr<Connection>> idle_;  // the one used last at the end
};

}  // namespace sutazai::upstream
