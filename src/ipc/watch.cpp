#include "ipc/watch.h"

#include <utility>

namespace sutazai::ipc {

void Watch::answered(const wire::Pong& pong) {
    if (!std::exchange(waits_, false)) return;
    has_answered_ = true;
    n_unanswered_ = 0;
    std::map<std::string, Seen> now;
    for (const wire::Work& work : pong.busy()) {
        Seen seen{work.progress(), 0};
        const auto before = works_.find(work.what());
        if (before != works_.end() && before->second.progress == seen.progress) seen.n_same = before->second.n_same + 1;
        now.emplace(work.what(), seen);
    }
    works_ = std::move(now);
}

std::optional<std::string> Watch::look() {
    if (waits_ && ++n_unanswered_ >= kLooks) return "answered nothing";
    for (const auto& [what, seen] : works_) {
        if (seen.n_same >= kLooks) return "got no further with " + what;
    }
    return std::nullopt;
}

bool Watch::takes_ping() {
    return !std::exchange(waits_, true);
}

}  // namespace sutazai::ipc
