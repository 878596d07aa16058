#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "sched/request.h"

namespace sutazai::sched {

/// All open requests by id, and the forks that are not requests yet. One thread.
class RequestTable {
  public:
    /// At most `forks_at_once` requests of one prompt are here at a time, >= 1.
    explicit RequestTable(int forks_at_once) : forks_at_once_(forks_at_once) {}

    /// The request `id` and those of its forks that may come in at once, in this order.
    [[nodiscard]] std::vector<Request*> add(RequestId id, ForkGroup group, Time now);
    /// Takes a request out for good.
    [[nodiscard]] std::unique_ptr<Request> take(RequestId id);
    /// The next fork of a request that has been taken out comes in; null when none is left.
    [[nodiscard]] Request* add_fork_of(const Request& other, Time now);
    /// Drops a fork that has not come in. False when there is no such fork.
    bool drop_fork(RequestId id);

    [[nodiscard]] Request* find(RequestId id) const;  ///< null when there is none
    [[nodiscard]] Request& at(RequestId id) const { return *requests_.at(id); }
    [[nodiscard]] std::size_t size() const { return requests_.size(); }
    [[nodiscard]] int forks_left() const { return static_cast<int>(forks_.size()); }

    /// Aborts the process when an invariant is broken. For tests.
    void check() const;

  private:
    Request& insert(RequestId id, const std::shared_ptr<ForkGroup>& group, Time now);

    int forks_at_once_;
    std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
    std::unordered_map<RequestId, std::shared_ptr<ForkGroup>> forks_;  ///< by request that has not come in yet
};

}  // namespace sutazai::sched
