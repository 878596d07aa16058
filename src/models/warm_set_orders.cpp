// What somebody may order of the warm set: that a model makes way, or that it never does.
#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "models/warm_set.h"

namespace sutazai::models {

namespace asio = boost::asio;

asio::awaitable<Result<bool>> WarmSet::evict(std::shared_ptr<WarmSet> self, std::string name, bool wait) {
    const auto found = self->find(name);
    if (!found) co_return std::unexpected(found.error());
    Model& model = **found;
    const auto refuse = [&](std::string_view why) {
        return fail(ErrorCode::kUnavailable, fmt::format("'{}' {}", model.name, why));
    };
    if (model.loading) co_return refuse("is being loaded");
    if (!model.slot) co_return false;
    if (model.pinned) co_return refuse("is pinned; unpin it first");
    const std::shared_ptr<Slot> slot = model.slot;
    if (slot->n_leases > 0 && !wait) {
        co_return refuse(fmt::format("is busy with {} request{}; with \"force\" it goes when they have ended",
                                     slot->n_leases, slot->n_leases == 1 ? "" : "s"));
    }
    struct Dismissal {
        WarmSet& set;
        Slot& slot;
        ~Dismissal() {
            if (slot.ended) return;
            slot.dismissed = slot.stale;
            set.arrange();
        }
    };
    slot->leaving = slot->dismissed = true;
    model.displaced_until.reset();
    const Dismissal dismissal{*self, *slot};
    self->arrange();
    // The engine may also die, which leaves this slot as nobody's.
    while (!slot->ended && slot->engine->alive()) co_await slot->gone.wait(ipc::Signal::kEver);
    co_return true;
}

asio::awaitable<Result<bool>> WarmSet::pin(std::shared_ptr<WarmSet> self, std::string name, bool pinned) {
    const auto found = self->find(name);
    if (!found) co_return std::unexpected(found.error());
    (*found)->pinned = pinned;
    self->arrange();
    if (self->draining_) co_return true;
    co_return co_await self->usage_writer_.write_now(self->usage_now());
}

}  // namespace sutazai::models
