#include "models/lease.h"

#include <utility>

#include "models/engine_slot.h"

namespace sutazai::models {

Lease::Lease(std::shared_ptr<EngineSlot> slot, AskedModel asked, bool reserves)
    : slot_(std::move(slot)), asked_(std::move(asked)), reserves_(reserves) {
    ++slot_->n_leases;
    slot_->n_reserving += reserves_ ? 1 : 0;
}

Lease::Lease(std::shared_ptr<upstream::RemoteModel> remote, AskedModel asked)
    : remote_(std::move(remote)), asked_(std::move(asked)) {
    ++remote_->in_use;
}

Lease& Lease::operator=(Lease&& other) noexcept {
    Lease taken(std::move(other));
    std::swap(slot_, taken.slot_);
    std::swap(remote_, taken.remote_);
    std::swap(asked_, taken.asked_);
    std::swap(reserves_, taken.reserves_);
    return *this;
}

Lease::~Lease() {
    if (remote_) --remote_->in_use;
    if (!slot_) return;
    slot_->n_reserving -= reserves_ ? 1 : 0;
    if (--slot_->n_leases > 0) return;
    slot_->idle.notify();
    slot_->on_idle(slot_);
}

ipc::Generator& Lease::generator() const {
    if (remote_) return *remote_;
    return *slot_->engine;
}
std::string Lease::upstream() const {
    if (!is_remote()) return {};
    const std::string& name = remote_->upstream().identity().name;
    return name.empty() ? "models.toml" : name;
}
bool Lease::has_chat_template() const {
    return is_remote() || engine().info().has_chat_template;
}
ipc::EngineClient& Lease::engine() const {
    return *slot_->engine;
}
const catalog::ModelProfile& Lease::profile() const {
    static const catalog::ModelProfile kNothing;
    return asked_.profile ? *asked_.profile : kNothing;
}

}  // namespace sutazai::models
