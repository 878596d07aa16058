#include "models/model_manager.h"

#include <utility>

#include "models/warm_set.h"

namespace sutazai::models {

namespace asio = boost::asio;

Lease::Lease(std::shared_ptr<Slot> slot, bool reserves) : slot_(std::move(slot)), reserves_(reserves) {
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
    if (const auto owner = slot_->owner.lock()) owner->on_idle(slot_);
}

ipc::EngineClient& Lease::engine() const {
    return *slot_->engine;
}
const std::string& Lease::model() const {
    return slot_->model;
}

AdvancedModelManager::AdvancedModelManager(const config::Settings& settings, catalog::Catalog& catalog,
                                           BlockingPool& pool, std::string executable, Tuning tuning)
    : warm_set_(WarmSet::make(settings, catalog, pool, std::move(executable), std::move(tuning))) {}

AdvancedModelManager::~AdvancedModelManager() {
    warm_set_->close();
}

asio::awaitable<Result<Lease>> AdvancedModelManager::acquire(std::string name, std::optional<KeepAlive> keep_alive) {
    return WarmSet::acquire(warm_set_, std::move(name), {WarmSet::Purpose::kRequest, keep_alive});
}
asio::awaitable<Result<Lease>> AdvancedModelManager::warm(std::string name) {
    return WarmSet::acquire(warm_set_, std::move(name), {WarmSet::Purpose::kWarmUp, {}});
}
asio::awaitable<Result<Lease>> AdvancedModelManager::warm_if_room(std::string name) {
    return WarmSet::acquire(warm_set_, std::move(name), {WarmSet::Purpose::kModestWarmUp, {}});
}
Result<Lease> AdvancedModelManager::hold_if_warm(const std::string& name) {
    return warm_set_->hold_if_warm(name);
}
asio::awaitable<Result<bool>> AdvancedModelManager::evict(std::string name, bool wait) {
    return WarmSet::evict(warm_set_, std::move(name), wait);
}
asio::awaitable<Result<bool>> AdvancedModelManager::pin(std::string name, bool pinned) {
    return WarmSet::pin(warm_set_, std::move(name), pinned);
}
std::vector<std::string> AdvancedModelManager::startup_models() const {
    return warm_set_->startup_models();
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
placement::Room AdvancedModelManager::room() const {
    return warm_set_->room();
}
void AdvancedModelManager::keep_standby(const asio::any_io_executor& executor) {
    warm_set_->standby().open(executor);
}
void AdvancedModelManager::watch_files(const asio::any_io_executor& executor) {
    warm_set_->files().watch(executor);
}
asio::awaitable<void> AdvancedModelManager::catch_up() {
    return warm_set_->files().catch_up();
}
std::vector<StandbyStatus> AdvancedModelManager::standby() const {
    return warm_set_->standby().status();
}

}  // namespace sutazai::models
