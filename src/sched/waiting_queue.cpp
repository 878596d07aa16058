#include "sched/waiting_queue.h"

#include <algorithm>

#include "sched/demand.h"

namespace sutazai::sched {

void WaitingQueue::put_back(Request& request) {
    const auto place =
        std::ranges::find_if(requests_, [&](const Request* other) { return other->arrival > request.arrival; });
    requests_.insert(place, &request);
}

std::vector<Request*> WaitingQueue::by_turn(Time now) const {
    std::vector<Request*> order(requests_.begin(), requests_.end());
    std::ranges::stable_sort(order, {}, [&](const Request* request) { return level(*request, now); });
    return order;
}

std::vector<RequestId> WaitingQueue::overdue(Time now, Time timeout) const {
    std::vector<RequestId> ids;
    for (const Request* request : requests_) {
        if (!request->begun && now - request->arrival > timeout) ids.push_back(request->id);
    }
    return ids;
}

void WaitingQueue::check() const {
    for (const Request* request : requests_) demand(request->slot == kNoSlot);
}

}  // namespace sutazai::sched
