#include "models/model_manager.h"

#include <utility>

#include "models/warm_set.h"

namespace sutazai::models {

namespace asio = boost::asio;

const char* to_string(ModelState state) {
    switch (state) {
        case ModelState::kCold: return "cold";
        case ModelState::kLoading: return "loading";
        case ModelState::kWarm: return "warm";
        case ModelState::kDraining: return "draining";
        case ModelState::kFailed: return "failed";
    }
    return "cold";
}

Lease::Lease(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {
    ++slot_->n_leases;
}

Lease& Lease::operator=(Lease&& other) noexcept {
    Lease taken(std::move(other));
    std::swap(slot_, taken.slot_);
    return *this;
}

Lease::~Lease() {
    if (!slot_ || --slot_->n_leases > 0) return;
    slot_->idle.notify();
    if (const auto owner = slot_->owner.lock()) owner->on_idle(slot_);
}

ipc::EngineClient& Lease::engine() const {
    return *slot_->engine;
}
const std::string& Lease::model() const {
    return slot_->model;
}

AdvancedModelManager::AdvancedModelManager(const config::Settings& settings, const catalog::Catalog& catalog,
                                           std::string executable, Tuning tuning)
    : warm_set_(std::make_shared<WarmSet>(settings, catalog, std::move(executable), std::move(tuning))) {}

AdvancedModelManager::~AdvancedModelManager() {
    warm_set_->close();
}

asio::awaitable<Result<Lease>> AdvancedModelManager::acquire(std::string name) {
    return WarmSet::acquire(warm_set_, std::move(name), WarmSet::Purpose::kRequest);
}

asio::awaitable<Result<void>> AdvancedModelManager::warm(std::string name) {
    const auto lease = co_await WarmSet::acquire(warm_set_, std::move(name), WarmSet::Purpose::kWarm);
    if (!lease) co_return std::unexpected(lease.error());
    co_return Result<void>{};
}

asio::awaitable<void> AdvancedModelManager::drain(std::chrono::milliseconds deadline) {
    return WarmSet::drain(warm_set_, WarmSet::Clock::now() + deadline);
}

std::vector<ModelStatus> AdvancedModelManager::status() const {
    return warm_set_->status();
}
bool AdvancedModelManager::any_warm() const {
    return warm_set_->any_warm();
}
std::size_t AdvancedModelManager::open_requests() const {
    return warm_set_->open_requests();
}

}  // namespace sutazai::models
