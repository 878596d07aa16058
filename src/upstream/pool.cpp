#include "upstream/pool.h"

#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sutazai::upstream {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostIdle = 16;
/// Shorter than servers wait for the next request (a SutazAI 75 s).
constexpr std::chrono::seconds kLongestIdle{45};

}  // namespace

/// Somebody in the queue, until his turn has come or he goes away.
class Pool::Queueing {
  public:
    explicit Queueing(Pool& pool) : pool_(pool) { pool_.waiting_.push_back(&turn); }
    Queueing(const Queueing&) = delete;
    Queueing& operator=(const Queueing&) = delete;
    ~Queueing() {
        if (!turn.has_come) {
            pool_.waiting_.remove(&turn);
        } else if (!taken) {
            pool_.leave();
        }
    }

    Turn turn;
    bool taken = false;

  private:
    Pool& pool_;
};

asio::awaitable<Result<Pool::Place>> Pool::enter(Clock::time_point deadline) {
    const auto self = shared_from_this();
    if (n_taken_ < most_places_) {
        ++n_taken_;
        co_return Place(self);
    }
    if (waiting_.size() >= most_waiting_) {
        co_return fail(ErrorCode::kQueueFull, "too many requests wait for this model's server already");
    }
    Queueing queueing(*this);
    while (!queueing.turn.has_come) {
        if (Clock::now() >= deadline) {
            co_return fail(ErrorCode::kQueueTimeout, "the request has waited too long for a connection");
        }
        co_await queueing.turn.signal.wait(deadline);
    }
    queueing.taken = true;
    co_return Place(self);
}

void Pool::leave() {
    if (waiting_.empty()) {
        --n_taken_;
        return;
    }
    Turn& next = *waiting_.front();
    waiting_.pop_front();
    next.has_come = true;
    next.signal.notify();
}

std::unique_ptr<Connection> Pool::take_idle() {
    prune();
    while (!idle_.empty()) {
        std::unique_ptr<Connection> last = std::move(idle_.back());
        idle_.pop_back();
        if (last->is_quiet()) return last;
    }
    return nullptr;
}

void Pool::put_idle(std::unique_ptr<Connection> connection) {
    connection->idle_since = Clock::now();
    if (idle_.size() >= kMostIdle) idle_.erase(idle_.begin());
    idle_.push_back(std::move(connection));
}

void Pool::prune() {
    const auto now = Clock::now();
    std::erase_if(idle_, [&](const auto& connection) { return now - connection->idle_since > kLongestIdle; });
}

}  // namespace sutazai::upstream
