#include "status/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>
#include <utility>

#include "api/answer_parts.h"
#include "base/byte_text.h"
#include "base/json_text.h"
#include "status/status_json.h"

namespace sutazai::status {

namespace json = boost::json;

namespace {

using models::ModelState;
using models::ModelStatus;

// Below these something will fail soon: a pull or an artifact on the disk, the next load or the server in memory.
constexpr std::uint64_t kLittleDisk = std::uint64_t{512} << 20;
constexpr std::uint64_t kLittleMemory = std::uint64_t{256} << 20;
constexpr double kNearlyFull = 0.9;  // of a queue

bool has_failed(const ModelStatus& model) {
    return model.state == ModelState::kFailed || model.state == ModelState::kUnreachable;
}

std::uint64_t n_waiting(const ModelStatus& model) {
    return model.stats.waiting + (model.remote ? 0 : model.waiting);
}

const char* to_string(Health health) {
    switch (health) {
        case Health::kHealthy: return "healthy";
        case Health::kDegraded: return "degraded";
        case Health::kUnhealthy: return "unhealthy";
    }
    return "unhealthy";
}

json::array states(std::span<const ModelStatus> models) {
    json::array out;
    out.reserve(models.size());
    for (const ModelStatus& model : models) {
        json::object one = state_json(model);
        if (model.pid != 0) {
            one["bytes"] = model.measured_bytes;
            one["running"] = model.stats.running;
        }
        if (n_waiting(model) > 0) one["waiting"] = n_waiting(model);
        if (model.crashes > 0) one["restarts"] = model.crashes;
        if (!model.file_note.empty()) one["file_note"] = model.file_note;
        out.push_back(std::move(one));
    }
    return out;
}

json::array devices(const HealthFacts& facts) {
    json::array out{json::object{
        {"kind", "cpu"}, {"name", api::or_null(facts.machine.processor)}, {"processors", facts.machine.processors}}};
    if (any_on_gpu(facts.models)) out.push_back(json::object{{"kind", "gpu"}});
    return out;
}

json::object queue(const HealthFacts& facts) {
    std::uint64_t running = 0;
    std::uint64_t waiting = 0;
    for (const ModelStatus& model : facts.models) {
        if (!model.alias_of.empty()) continue;
        running += model.stats.running;
        waiting += n_waiting(model);
    }
    return {{"running", running}, {"waiting", waiting}, {"most_waiting_per_model", facts.max_queue}};
}

json::object memory(const HealthFacts& facts) {
    const auto total = models::summarize(facts.models).total_size_mb;
    const bool limited = facts.room.bytes != std::numeric_limits<std::uint64_t>::max();
    return {{"total_bytes", facts.machine.memory_bytes},
            {"available_bytes", facts.machine.available_bytes},
            {"models_bytes", static_cast<std::uint64_t>(total * (1 << 20))},
            {"most_models_bytes", limited ? json::value(facts.room.bytes) : json::value()},
            {"most_models", facts.room.places}};
}

}  // namespace

Verdict judge(const HealthFacts& facts) {
    Verdict out;
    const auto say = [&](Health health, std::string reason) {
        out.health = std::max(out.health, health);
        out.reasons.push_back(std::move(reason));
    };
    if (facts.draining) say(Health::kUnhealthy, "The server is shutting down.");
    if (facts.models.empty()) say(Health::kUnhealthy, "There is no model.");
    const bool all_failed = !facts.models.empty() && std::ranges::all_of(facts.models, has_failed);
    if (all_failed) say(Health::kUnhealthy, "No model can serve.");
    for (const ModelStatus& model : facts.models) {
        const std::string why = model.last_error.empty() ? "." : ": " + model.last_error;
        if (has_failed(model)) {
            const bool remote = model.state == ModelState::kUnreachable;
            say(Health::kDegraded, fmt::format("{} {}{}", model.name, remote ? "cannot be reached" : "failed", why));
        } else if (model.stats.broken_results > 0 && model.alias_of.empty()) {
            say(Health::kDegraded, model.name + why);
        }
        const auto waiting = static_cast<double>(n_waiting(model));
        if (facts.max_queue > 0 && waiting >= kNearlyFull * static_cast<double>(facts.max_queue) &&
            model.alias_of.empty()) {
            say(Health::kDegraded, fmt::format("{} requests wait for {}, and no more than {} may (MAX_QUEUE).",
                                               n_waiting(model), model.name, facts.max_queue));
        }
    }
    if (!facts.config_problem.empty()) say(Health::kDegraded, std::string(facts.config_problem));
    for (const Machine::Disk& disk : facts.machine.disks) {
        if (disk.free_bytes >= kLittleDisk) continue;
        say(Health::kDegraded,
            fmt::format("The disk of the {} folder has {} left.", disk.what, byte_text(disk.free_bytes)));
    }
    if (facts.machine.memory_bytes > 0 && facts.machine.available_bytes < kLittleMemory) {
        say(Health::kDegraded,
            fmt::format("The machine has {} of memory left.", byte_text(facts.machine.available_bytes)));
    }
    return out;
}

std::string advanced_health(const HealthFacts& facts, const Verdict& verdict) {
    json::object out{{"status", to_string(verdict.health)},
                     {"gpu_available", any_on_gpu(facts.models)},
                     {"active_processors", models::summarize(facts.models).warmed_models}};
    json::array& reasons = out["reasons"].emplace_array();
    for (const std::string& reason : verdict.reasons) reasons.emplace_back(reason);
    out["version"] = facts.version;
    out["uptime_s"] = rounded(facts.uptime_s, 1);
    out["devices"] = devices(facts);
    out["queue"] = queue(facts);
    out["memory"] = memory(facts);
    json::array& disks = out["disks"].emplace_array();
    for (const Machine::Disk& disk : facts.machine.disks) {
        disks.push_back(json::object{{"folder", disk.what}, {"bytes", disk.bytes}, {"free_bytes", disk.free_bytes}});
    }
    if (!facts.config_problem.empty()) out["config_problem"] = facts.config_problem;
    out["models"] = states(facts.models);
    out["standby_engines"] = facts.standby_engines;
    return to_json(out);
}

}  // namespace sutazai::status
