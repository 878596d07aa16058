#include "status/cache_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <limits>
#include <utility>

#include "api/answer_parts.h"
#include "base/json_text.h"
#include "status/status_json.h"

namespace sutazai::status {

namespace json = boost::json;

namespace {

using models::ModelStatus;
using serve::CacheOutcome;

json::value time_or_null(const std::optional<std::chrono::system_clock::time_point>& when) {
    return when ? json::value(api::timestamp(*when)) : json::value();
}

/// The specification's third source of a warm start: another model. Null while it has nothing that could be shared.
json::value shared_json(const ModelStatus& model) {
    const auto& shared = model.info.shared;
    if (shared.fd < 0) return nullptr;
    return json::object{{"bytes", shared.bytes},
                        {"started_from", api::or_null(shared.sibling)},
                        {"bytes_counted_elsewhere", model.paid_by_others}};
}

json::value remote_json(const ModelStatus& model) {
    if (!model.remote) return nullptr;
    return json::object{{"upstream", api::or_null(model.remote->upstream)},
                        {"kind", model.remote->kind},
                        {"model", model.remote->model},
                        {"running", model.stats.running},
                        {"waiting", model.stats.waiting}};
}

}  // namespace

json::object model_json(const ModelStatus& model) {
    return {{"name", model.name},
            {"alias_of", api::or_null(model.alias_of)},
            {"state", models::to_string(model.state)},
            {"load_progress", rounded(model.load_progress, 2)},
            {"pid", model.pid},
            {"bytes_estimated", model.estimate.total()},
            {"bytes_expected", model.expected_bytes},
            {"bytes_measured", model.measured_bytes},
            {"shared_weights", shared_json(model)},
            {"estimate",
             {{"weights", model.estimate.weights},
              {"kv", model.estimate.kv},
              {"compute", model.estimate.compute},
              {"process", model.estimate.process}}},
            {"requests", model.requests},
            {"found_warm", model.found_warm},
            {"in_use", model.in_use},
            {"waiting", model.waiting},
            {"load_ms", model.load_time.count()},
            {"last_used", time_or_null(model.last_used)},
            {"pinned", model.pinned},
            {"unload_at", time_or_null(model.unload_at)},
            {"prefixes", model.stats.prefixes},
            {"prompt_tokens", model.stats.prompt_tokens},
            {"cached_tokens", model.stats.cached_tokens},
            {"grammar_hits", model.stats.grammar_hits},
            {"grammar_misses", model.stats.grammar_misses},
            {"crashes", model.crashes},
            {"last_crash", api::or_null(model.last_crash)},
            {"artifacts",
             {{"count", model.stats.artifacts},
              {"bytes", model.stats.artifact_bytes},
              {"restored_tokens", model.stats.artifact_restored_tokens}}},
            {"remote", remote_json(model)},
            {"file_note", api::or_null(model.file_note)},
            {"last_error", api::or_null(model.last_error)}};
}

namespace {

json::object outcome_json(const CacheOutcome& outcome) {
    json::object out{{"model", outcome.model},
                     {"success", outcome.success},
                     {"message", outcome.message},
                     {"state", models::to_string(outcome.state)}};
    if (outcome.artifacts) {
        out["saved"] = outcome.artifacts->saved;
        out["loaded"] = outcome.artifacts->restored;
        out["removed"] = outcome.artifacts->removed;
        out["bytes"] = outcome.artifacts->bytes;
    }
    return out;
}

json::value room_mb(const models::placement::Room& room) {
    if (room.bytes == std::numeric_limits<std::uint64_t>::max()) return nullptr;
    return rounded(static_cast<double>(room.bytes) / static_cast<double>(1 << 20), 1);
}

}  // namespace

std::string cache_status_json(std::span<const ModelStatus> models, const models::placement::Room& room,
                              std::span<const models::StandbyStatus> standby, std::string_view config_problem) {
    json::object out{{"action", "status"}, {"config_problem", api::or_null(std::string(config_problem))}};
    add_cache_figures(out, models::summarize(models));
    out["max_models"] = room.places;
    out["max_cache_size_mb"] = room_mb(room);
    json::array engines;
    for (const models::StandbyStatus& engine : standby)
        engines.push_back({{"pid", engine.pid}, {"bytes", engine.bytes}});
    out["standby_engines"] = std::move(engines);
    json::array all;
    all.reserve(models.size());
    for (const ModelStatus& model : models) all.push_back(model_json(model));
    out["models"] = std::move(all);
    return to_json(out);
}

std::string cache_outcomes_json(api::CacheAction action, std::span<const serve::CacheOutcome> outcomes) {
    json::array results;
    for (const CacheOutcome& outcome : outcomes) results.push_back(outcome_json(outcome));
    return to_json(json::object{{"action", api::to_string(action)},
                                {"success", std::ranges::all_of(outcomes, &CacheOutcome::success)},
                                {"results", std::move(results)}});
}

}  // namespace sutazai::status
