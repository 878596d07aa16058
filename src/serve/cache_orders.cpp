#include "serve/cache_orders.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/byte_text.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

using api::CacheAction;
using models::Lease;
using models::ModelState;
using models::ModelStatus;

CacheOutcome went_well(std::string model, std::string message) {
    return {.model = std::move(model), .success = true, .message = std::move(message)};
}

CacheOutcome went_wrong(std::string model, const Error& error) {
    return {.model = std::move(model), .message = error.message};
}

std::vector<std::string> warm_models(const models::AdvancedModelManager& manager) {
    std::vector<std::string> names;
    for (const ModelStatus& model : manager.status()) {
        if (model.state == ModelState::kWarm && model.alias_of.empty()) names.push_back(model.name);
    }
    return names;
}

std::string file_note(const models::AdvancedModelManager& manager, const std::string& name) {
    const std::vector<ModelStatus> all = manager.status();
    const auto model = std::ranges::find(all, name, &ModelStatus::name);
    return model == all.end() ? "" : model->file_note;
}

/// The models that an action without a list is for.
std::vector<std::string> own_choice(const models::AdvancedModelManager& manager, CacheAction action) {
    return action == CacheAction::kWarmup ? manager.startup_models() : warm_models(manager);
}

CacheOutcome artifacts_outcome(std::string model, Result<ArtifactReport> report) {
    if (!report) return went_wrong(std::move(model), report.error());
    CacheOutcome out = went_well(std::move(model), "");
    const auto tell = [&](std::uint64_t n, const char* verb) {
        if (n > 0) out.message += fmt::format("{}{} {}", out.message.empty() ? "" : ", ", verb, n);
    };
    tell(report->saved, "saved");
    tell(report->restored, "restored");
    tell(report->removed, "removed");
    if (!out.message.empty()) out.message += fmt::format(" ({})", byte_text(report->bytes));
    if (!report->problem.empty()) {
        out.success = false;
        out.message += (out.message.empty() ? "" : "; ") + report->problem;
    }
    if (out.message.empty()) out.message = "nothing to do";
    out.artifacts = *report;
    return out;
}

asio::awaitable<CacheOutcome> save_or_prune(models::AdvancedModelManager& manager, ArtifactAction action,
                                            std::string name) {
    const Result<Lease> lease = manager.hold_if_warm(name);
    if (!lease) co_return went_wrong(std::move(name), lease.error());
    auto report = co_await lease->engine().artifacts(action);
    co_return artifacts_outcome(std::move(name), std::move(report));
}

/// `held` keeps what this command has loaded from making room for what it loads next.
asio::awaitable<CacheOutcome> warm_up(models::AdvancedModelManager& manager, std::string name,
                                      std::vector<Lease>& held) {
    int pid_before = 0;
    if (const auto before = manager.hold_if_warm(name)) pid_before = before->engine().pid();
    Result<Lease> lease = co_await manager.warm(name);
    if (!lease) co_return went_wrong(std::move(name), lease.error());
    const bool was_warm = pid_before != 0 && lease->engine().pid() == pid_before;
    held.push_back(std::move(*lease));
    std::string message = was_warm ? "was warm already" : "is warm";
    // An engine that is not the one before was loaded because its file is another one, or the old one died.
    if (!was_warm && pid_before != 0) message = "is warm, loaded anew";
    const std::string note = file_note(manager, name);
    if (!note.empty()) message += "; " + note;
    co_return went_well(std::move(name), std::move(message));
}

asio::awaitable<CacheOutcome> restore(models::AdvancedModelManager& manager, std::string name,
                                      std::vector<Lease>& held) {
    CacheOutcome warmed = co_await warm_up(manager, name, held);
    if (!warmed.success) co_return warmed;
    auto report = co_await held.back().engine().artifacts(ArtifactAction::kRestore);
    co_return artifacts_outcome(std::move(name), std::move(report));
}

asio::awaitable<CacheOutcome> evict(models::AdvancedModelManager& manager, std::string name, bool force) {
    const Result<bool> evicted = co_await manager.evict(name, force);
    if (!evicted) co_return went_wrong(std::move(name), evicted.error());
    co_return went_well(std::move(name), *evicted ? "was evicted" : "was not warm");
}

asio::awaitable<CacheOutcome> pin(models::AdvancedModelManager& manager, std::string name, bool pinned) {
    const Result<bool> remembered = co_await manager.pin(name, pinned);
    if (!remembered) co_return went_wrong(std::move(name), remembered.error());
    std::string message = pinned ? "is pinned until it is unpinned" : "is not pinned";
    if (!*remembered) message += "; this could not be written down, and will be forgotten when the server ends";
    co_return went_well(std::move(name), std::move(message));
}

asio::awaitable<CacheOutcome> act(models::AdvancedModelManager& manager, CacheAction action, std::string name,
                                  bool force, std::vector<Lease>& held) {
    switch (action) {
        case CacheAction::kWarmup: co_return co_await warm_up(manager, std::move(name), held);
        case CacheAction::kSave: co_return co_await save_or_prune(manager, ArtifactAction::kSave, std::move(name));
        case CacheAction::kLoad: co_return co_await restore(manager, std::move(name), held);
        case CacheAction::kPrune: co_return co_await save_or_prune(manager, ArtifactAction::kPrune, std::move(name));
        case CacheAction::kEvict: co_return co_await evict(manager, std::move(name), force);
        case CacheAction::kPin: co_return co_await pin(manager, std::move(name), true);
        case CacheAction::kUnpin: co_return co_await pin(manager, std::move(name), false);
        case CacheAction::kStatus: break;
    }
    co_return CacheOutcome{};
}

}  // namespace

asio::awaitable<std::vector<CacheOutcome>> carry_out(models::AdvancedModelManager& manager, api::CacheCommand command) {
    if (command.models.empty()) command.models = own_choice(manager, command.action);
    for (std::string& name : command.models) name = manager.name_of(name);
    std::vector<CacheOutcome> outcomes;
    {
        std::vector<Lease> held;
        for (const std::string& name : command.models) {
            outcomes.push_back(co_await act(manager, command.action, name, command.force, held));
        }
    }
    const std::vector<ModelStatus> now = manager.status();
    for (CacheOutcome& outcome : outcomes) {
        const auto model = std::ranges::find(now, outcome.model, &ModelStatus::name);
        if (model != now.end()) outcome.state = model->state;
    }
    co_return outcomes;
}

}  // namespace sutazai::serve
