#include "models/model_manager.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "base/thrown.h"
#include "models/status_of.h"
#include "models/warm_set.h"

// What is asked and ordered may outlast the manager, so each coroutine keeps the set that it works on.
namespace sutazai::models {

namespace asio = boost::asio;

namespace {

using Clock = WarmSet::Clock;
constexpr int kBusyRetryAfterS = 5;

asio::awaitable<Result<Lease>> wait_for(std::shared_ptr<WarmSet> set, WarmModel& model, Asking asking) {
    struct Wait {
        WarmSet& set;
        WarmModel& model;
        Waiter waiter;
        ~Wait() { set.leave(model, waiter); }
    };
    Wait wait{*set, model, {.asking = asking}};
    set->join(model, wait.waiter);
    const auto deadline = Clock::now() + set->load_timeout();
    while (!wait.waiter.result) {
        co_await wait.waiter.ready.wait(model.load.running ? ipc::Signal::kEver : deadline);
        if (wait.waiter.result || model.load.running || Clock::now() < deadline) continue;
        const bool stale = model.slot && model.slot->stale;
        Error error{ErrorCode::kUnavailable,
                    stale ? fmt::format("'{}' is to be loaded anew, and requests to what was loaded before are still "
                                        "running",
                                        model.name)
                          : fmt::format("every model that is loaded is busy; '{}' found no place", model.name)};
        error.retry_after_s = kBusyRetryAfterS;
        co_return std::unexpected(std::move(error));
    }
    co_return std::move(*wait.waiter.result);
}

asio::awaitable<Result<Lease>> ask(std::shared_ptr<WarmSet> set, std::string name, Asking asking) {
    set->live_on(co_await asio::this_coro::executor);
    auto found = set->find(name);
    if (!found) co_return std::unexpected(found.error());
    WarmModel& model = *found->model;
    asking.model = std::move(found->asked);
    set->count_use(model, asking.purpose);
    for (bool warm = true;; warm = false) {
        FileCheck::Verdict file = co_await set->file_check().check(model);
        if (file.dismissed) set->arrange();
        if (file.error) co_return std::unexpected(std::move(*file.error));
        if (set->closing()) co_return std::unexpected(WarmSet::shutting_down());
        if (set->file_check().is_too_narrow(model, asking.context_tokens)) {
            file = co_await set->file_check().widen(model, asking.context_tokens);
            if (file.dismissed) set->arrange();
            if (file.error) co_return std::unexpected(std::move(*file.error));
            if (set->closing()) co_return std::unexpected(WarmSet::shutting_down());
        }
        Result<Lease> lease;
        if (model.slot && !model.slot->leaving) {
            lease = set->grant(model, asking);
        } else {
            warm = false;
            if (auto error = set->reason_to_refuse(model)) co_return std::unexpected(std::move(*error));
            lease = co_await wait_for(set, model, asking);
            if (!lease) co_return lease;
        }
        // Between the grant and now the engine may have died, or the server begun to drain.
        if (!lease->engine().alive() || set->draining()) continue;
        // It was being loaded already when a request came that wants more of it.
        if (set->file_check().is_too_narrow(model, asking.context_tokens)) continue;
        if (asking.purpose == Purpose::kRequest) {
            ++model.use.requests;
            model.use.found_warm += warm ? 1 : 0;
        }
        co_return lease;
    }
}

using SharedUpstreams = std::shared_ptr<upstream::Upstreams>;

/// What the catalogue has under this name, after a look for what may have come just now.
asio::awaitable<Result<catalog::ModelFile>> look_up(std::shared_ptr<WarmSet> set, SharedUpstreams upstreams,
                                                    std::string name) {
    auto file = set->catalog().find(name);
    if (file || file.error().code == ErrorCode::kInvalidArgument) co_return file;
    co_await upstreams->first_look();
    co_await set->files().catch_up();
    co_return set->catalog().find(name);
}

Result<Lease> lease_remote(WarmSet& set, upstream::Upstreams& upstreams, const catalog::ModelFile& file) {
    if (set.closing()) return std::unexpected(WarmSet::shutting_down());
    auto model = upstreams.find(*file.remote);
    if (!model) return std::unexpected(std::move(model.error()));
    ++(*model)->requests;
    return Lease(std::move(*model), {file.name, file.profile});
}

/// A request, which may be for a model of another server's.
asio::awaitable<Result<Lease>> ask_anywhere(std::shared_ptr<WarmSet> set, SharedUpstreams upstreams, std::string name,
                                            Asking asking) {
    upstreams->live_on(co_await asio::this_coro::executor);
    const auto file = co_await look_up(set, upstreams, name);
    if (file && file->remote) co_return lease_remote(*set, *upstreams, *file);
    co_return co_await ask(std::move(set), std::move(name), std::move(asking));
}

/// An order, which is for models of this server's alone.
asio::awaitable<Result<Lease>> ask_here(std::shared_ptr<WarmSet> set, SharedUpstreams upstreams, std::string name,
                                        Asking asking) {
    (void)co_await look_up(set, std::move(upstreams), name);
    co_return co_await ask(std::move(set), std::move(name), std::move(asking));
}

asio::awaitable<Result<bool>> evict_from(std::shared_ptr<WarmSet> set, std::string name, bool wait) {
    const auto found = set->find(name);
    if (!found) co_return std::unexpected(found.error());
    WarmModel& model = *found->model;
    const auto refuse = [&](std::string_view why) {
        return fail(ErrorCode::kUnavailable, fmt::format("'{}' {}", model.name, why));
    };
    if (model.load.running) co_return refuse("is being loaded");
    if (!model.slot) co_return false;
    if (!model.pinned_by.empty()) co_return refuse("is pinned in models.toml");
    if (model.pinned) co_return refuse("is pinned; unpin it first");
    const std::shared_ptr<EngineSlot> slot = model.slot;
    if (slot->n_leases > 0 && !wait) {
        co_return refuse(fmt::format("is busy with {} request{}; with \"force\" it goes when they have ended",
                                     slot->n_leases, slot->n_leases == 1 ? "" : "s"));
    }
    struct Dismissal {
        WarmSet& set;
        EngineSlot& slot;
        ~Dismissal() {
            if (slot.ended) return;
            slot.dismissed = slot.stale;
            set.arrange();
        }
    };
    slot->leaving = slot->dismissed = true;
    model.displaced_until.reset();
    const Dismissal dismissal{*set, *slot};
    set->arrange();
    // The engine may also die, which leaves this slot as nobody's.
    while (!slot->ended && slot->engine->alive()) co_await slot->gone.wait(ipc::Signal::kEver);
    co_return true;
}

asio::awaitable<Result<bool>> pin_in(std::shared_ptr<WarmSet> set, std::string name, bool pinned) {
    const auto found = set->find(name);
    if (!found) co_return std::unexpected(found.error());
    WarmModel& model = *found->model;
    if (!pinned && !model.pinned_by.empty()) {
        co_return fail(ErrorCode::kUnavailable,
                       fmt::format("'{}' is pinned in models.toml (as \"{}\")", model.name, *model.pinned_by.begin()));
    }
    model.pinned = pinned;
    set->arrange();
    if (set->draining()) co_return true;
    co_return co_await set->usage().write_now(set->usage_now());
}

asio::awaitable<void> drain_all(std::shared_ptr<WarmSet> set, SharedUpstreams upstreams, Clock::time_point deadline) {
    UsageByName usage = set->usage_now();  // while they are warm
    set->drain(deadline);
    (void)co_await set->usage().write_now(std::move(usage));
    co_await upstreams->drain(deadline);
    while (set->has_engines()) co_await set->engine_gone().wait(ipc::Signal::kEver);
}

}  // namespace

AdvancedModelManager::AdvancedModelManager(const config::Settings& settings, catalog::Catalog& catalog,
                                           BlockingPool& pool, std::string executable, Tuning tuning)
    : warm_set_(WarmSet::make(settings, catalog, pool, std::move(executable), std::move(tuning))),
      upstreams_(std::make_shared<upstream::Upstreams>(settings)),
      configured_(settings.model_order) {}

AdvancedModelManager::~AdvancedModelManager() {
    warm_set_->close();
    upstreams_->close();
}

// --- leases

asio::awaitable<Result<Lease>> AdvancedModelManager::acquire(std::string name, std::optional<KeepAlive> keep_alive,
                                                             std::uint32_t context_tokens) {
    return ask_anywhere(warm_set_, upstreams_, std::move(name), {Purpose::kRequest, keep_alive, context_tokens});
}
asio::awaitable<Result<Lease>> AdvancedModelManager::warm(std::string name) {
    return ask_here(warm_set_, upstreams_, std::move(name), {Purpose::kWarmUp, {}});
}
asio::awaitable<Result<Lease>> AdvancedModelManager::warm_if_room(std::string name) {
    return ask_here(warm_set_, upstreams_, std::move(name), {Purpose::kModestWarmUp, {}});
}

Result<Lease> AdvancedModelManager::hold_if_warm(const std::string& name) {
    const auto found = warm_set_->find(name);
    if (!found) return std::unexpected(found.error());
    const WarmModel& model = *found->model;
    if (!model.slot || model.slot->leaving || warm_set_->closing()) {
        return fail(ErrorCode::kUnavailable, fmt::format("'{}' is not warm", model.name));
    }
    return Lease(model.slot, found->asked);
}

// --- orders

asio::awaitable<Result<bool>> AdvancedModelManager::evict(std::string name, bool wait) {
    return evict_from(warm_set_, std::move(name), wait);
}
asio::awaitable<Result<bool>> AdvancedModelManager::pin(std::string name, bool pinned) {
    return pin_in(warm_set_, std::move(name), pinned);
}
asio::awaitable<void> AdvancedModelManager::drain(std::chrono::milliseconds deadline) {
    return drain_all(warm_set_, upstreams_, Clock::now() + deadline);
}
void AdvancedModelManager::keep_standby(const asio::any_io_executor& executor) {
    warm_set_->standby().open(executor);
}
void AdvancedModelManager::watch_upstreams(const asio::any_io_executor& executor) {
    const auto on_names = [set = warm_set_, weak = std::weak_ptr(upstreams_), executor] {
        const auto upstreams = weak.lock();
        if (!upstreams || set->closing()) return;
        set->catalog().scanner()->set_remote(upstreams->models());
        asio::co_spawn(executor, set->files().refresh(), [set](const std::exception_ptr& thrown) {
            if (thrown) spdlog::error("looking for models failed: {}", text_of(thrown));
        });
    };
    upstreams_->watch(executor, on_names);
}
void AdvancedModelManager::watch_files(const asio::any_io_executor& executor) {
    warm_set_->files().watch(executor);
}
asio::awaitable<void> AdvancedModelManager::catch_up() {
    return warm_set_->files().catch_up();
}

asio::awaitable<void> AdvancedModelManager::look_again() {
    return warm_set_->files().refresh();
}

// --- what can be seen

std::vector<std::string> AdvancedModelManager::startup_models() const {
    const catalog::Catalog& catalog = warm_set_->catalog();
    std::vector<std::string> pinned;
    for (const catalog::ModelFile& file : catalog.list()) {
        if (file.problem.empty() && catalog::profile_of(file).pinned.value_or(false)) pinned.push_back(file.name);
    }
    std::vector<std::string> names = configured_;
    if (names.empty()) {
        names = std::move(pinned);
        pinned = warm_set_->usage().was_warm(catalog);
    }
    for (std::string& name : pinned) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
    }
    if (names.empty() && !catalog.default_model().empty()) names.push_back(catalog.default_model());
    names.resize(std::min(names.size(), room().places));
    return names;
}

bool AdvancedModelManager::knows_startup_models() const {
    const UsageRecord& usage = warm_set_->usage();
    if (warm_set_->catalog().is_unresolved()) return false;
    return !configured_.empty() || usage.n_was_warm() == usage.was_warm(warm_set_->catalog()).size();
}

std::string AdvancedModelManager::name_of(const std::string& name) const {
    const auto file = warm_set_->catalog().find(name);
    return file ? file->name : name;
}

std::vector<ModelStatus> AdvancedModelManager::status() const {
    const WarmModels& models = warm_set_->models();
    const catalog::Catalog& catalog = warm_set_->catalog();
    /// The name that a model's figures are given under; others only point to it.
    const auto main_name = [&](const WarmModel& model) {
        const auto own = catalog.find(model.name);
        if (own && own->engine == model.key) return model.name;
        const catalog::ModelFile* other = catalog.find_engine(model.key);
        return other != nullptr ? other->name : model.name;
    };
    std::map<const WarmModel*, std::string> names;
    for (const auto& [key, model] : models) names.emplace(model.get(), main_name(*model));

    std::vector<ModelStatus> out;
    out.reserve(catalog.list().size());
    std::set<const WarmModel*> listed;
    std::map<std::string, std::string> remote;  // by key, the first name
    for (const catalog::ModelFile& file : catalog.list()) {
        if (file.remote && file.problem.empty()) {
            out.push_back(status_of_remote(file, *upstreams_));
            const auto [first, is_first] = remote.emplace(file.weights, file.name);
            if (!is_first) out.back().alias_of = first->second;
            continue;
        }
        if (const auto known = models.find(file.engine); known != models.end()) {
            const WarmModel& model = *known->second;
            listed.insert(&model);
            ModelStatus& one = out.emplace_back(status_of(model, file.problem.empty() ? &file : nullptr));
            one.name = file.name;
            if (names.at(&model) != file.name) one.alias_of = names.at(&model);
            continue;
        }
        ModelStatus& cold = out.emplace_back();
        cold.name = file.name;
        cold.file_note = file.problem;
        cold.pinned = warm_set_->usage().was_pinned(file.name) || catalog::profile_of(file).pinned.value_or(false);
    }
    // A model whose file is gone matters for as long as it is in use.
    bool sorted = true;
    for (const auto& [key, model] : models) {
        if (listed.contains(model.get()) || model->state() == ModelState::kCold) continue;
        // The name stands for another by now, whose state is to be seen.
        if (model->replaced && !model->slot && !model->load.running) continue;
        out.push_back(status_of(*model, nullptr));
        sorted = false;
    }
    if (!sorted) std::ranges::stable_sort(out, {}, &ModelStatus::name);
    return out;
}

std::vector<StandbyStatus> AdvancedModelManager::standby() const {
    return warm_set_->standby().status();
}
bool AdvancedModelManager::any_warm() const {
    return std::ranges::any_of(warm_set_->models(), [](const auto& entry) { return entry.second->slot != nullptr; }) ||
           upstreams_->any_reachable();
}
std::size_t AdvancedModelManager::open_requests() const {
    return warm_set_->open_requests() + upstreams_->n_open();
}
placement::Room AdvancedModelManager::room() const {
    return warm_set_->room();
}

}  // namespace sutazai::models
