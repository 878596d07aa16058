#include "models/lease.h"

#include <utility>

#include "models/engine_slot.h"

namespace sutazai::models {

Lease::Lease(std::shared_ptr<EngineSlot> slot, bool reserves) : slot_(std::move(slot)), reserves_(reserves) {
    ++slot_->n_leases;
    slot_->n_reserving += reserves_ ? 1 : 0;
}

Lease& Lease::operator=(Lease&& other) noexcept {
    Lease taken(std::move(other));
    std::swap(slot_, taken.slot_);
    std::swap(reserves_, taken.reserves_);
    return *this;
}

Lease::~Lease() {
    if (!slot_) return;
    slot_->n_reserving -= reserves_ ? 1 : 0;
    if (--slot_->n_leases > 0) return;
    slot_->idle.notify();
    slot_->on_idle(slot_);
}

ipc::EngineClient& Lease::engine() const {
    return *slot_->engine;
}
const std::string& Lease::model() const {
    return slot_->model;
}

}  // namespace sutazai::models
