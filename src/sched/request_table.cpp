#include "sched/request_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sched/demand.h"

namespace sutazai::sched {

std::vector<Request*> RequestTable::add(RequestId id, ForkGroup group, Time now) {
    assert(!requests_.contains(id));
    const auto shared = std::make_shared<ForkGroup>(std::move(group));
    for (const RequestId fork : shared->left) forks_.emplace(fork, shared);
    std::vector<Request*> added{&insert(id, shared, now)};
    while (static_cast<int>(added.size()) < forks_at_once_ && !shared->left.empty()) {
        added.push_back(add_fork_of(*added.front(), now));
    }
    return added;
}

Request& RequestTable::insert(RequestId id, const std::shared_ptr<ForkGroup>& group, Time now) {
    auto request = std::make_unique<Request>();
    request->id = id;
    request->priority = group->priority;
    request->salt = group->salt;
    request->arrival = now;
    request->prompt = group->prompt;
    request->apart = group->apart;
    request->n_prompt = static_cast<int>(group->prompt->size());
    request->n_max = group->n_max;
    request->forks = group;
    return *requests_.emplace(id, std::move(request)).first->second;
}

std::unique_ptr<Request> RequestTable::take(RequestId id) {
    return std::move(requests_.extract(id).mapped());
}

Request* RequestTable::add_fork_of(const Request& other, Time now) {
    const std::shared_ptr<ForkGroup> group = other.forks;
    if (group->left.empty()) return nullptr;
    const RequestId id = group->left.front();
    group->left.pop_front();
    forks_.erase(id);
    return &insert(id, group, now);
}

bool RequestTable::drop_fork(RequestId id) {
    const auto fork = forks_.find(id);
    if (fork == forks_.end()) return false;
    std::erase(fork->second->left, id);
    forks_.erase(fork);
    return true;
}

Request* RequestTable::find(RequestId id) const {
    const auto found = requests_.find(id);
    return found == requests_.end() ? nullptr : found->second.get();
}

void RequestTable::check() const {
    for (const auto& [id, r] : requests_) {
        demand((r->prompt == nullptr) != r->own.empty() && r->length() >= r->n_prompt);
        demand(r->prompt == nullptr || r->slot == kNoSlot);
        const auto here = std::ranges::count_if(requests_, [&](const auto& o) { return o.second->forks == r->forks; });
        demand(here <= forks_at_once_ && (here == forks_at_once_ || r->forks->left.empty()));
    }
    for (const auto& [id, group] : forks_) {
        demand(!requests_.contains(id) && std::ranges::count(group->left, id) == 1);
        demand(std::ranges::any_of(requests_, [&](const auto& r) { return r.second->forks == group; }));
    }
}

}  // namespace sutazai::sched
