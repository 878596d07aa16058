#pragma once

#include <list>
#include <vector>

#include "sched/request.h"

namespace sutazai::sched {

/// The requests that wait for a place, in order of arrival. Whose turn it is depends on priority and on how long they
/// have waited. The requests belong to the caller. One thread.
class WaitingQueue {
  public:
    /// Waiting this long makes up for one level of priority.
    static constexpr Time kAgeing{1'000'000};

    void push(Request& request) { requests_.push_back(&request); }
    /// One that was here before: it takes the place that its arrival gives it.
    void put_back(Request& request);
    void remove(Request& request) { requests_.remove(&request); }

    [[nodiscard]] bool empty() const { return requests_.empty(); }
    [[nodiscard]] std::size_t size() const { return requests_.size(); }
    [[nodiscard]] const Request& oldest() const { return *requests_.front(); }  ///< not empty()

    /// Its priority less a level for each kAgeing that it has waited: lower runs first.
    [[nodiscard]] static int level(const Request& request, Time now) {
        return request.priority - static_cast<int>((now - request.arrival) / kAgeing);
    }
    /// By level, then by arrival.
    [[nodiscard]] std::vector<Request*> by_turn(Time now) const;
    /// Those that have not begun and have waited for longer than `timeout`.
    [[nodiscard]] std::vector<RequestId> overdue(Time now, Time timeout) const;

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    std::list<Request*> requests_;
};

}  // namespace sutazai::sched
