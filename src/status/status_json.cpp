#include "status/status_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "api/answer_parts.h"
#include "base/json_text.h"

namespace sutazai::status {

namespace json = boost::json;

namespace {

using models::ModelState;
using models::ModelStatus;

double ratio(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

bool is_warm(const ModelStatus& model) {
    return model.state == ModelState::kWarm;
}

bool any_on_gpu(std::span<const ModelStatus> models) {
    return std::ranges::any_of(models, [](const ModelStatus& model) { return is_warm(model) && model.info.on_gpu; });
}

const char* to_string(Health health) {
    switch (health) {
        case Health::kHealthy: return "healthy";
        case Health::kDegraded: return "degraded";
        case Health::kUnhealthy: return "unhealthy";
    }
    return "unhealthy";
}

json::object ready_object(bool ready) {
    return {{"status", ready ? "ready" : "not ready"}};
}

json::array states(std::span<const ModelStatus> models) {
    json::array out;
    out.reserve(models.size());
    for (const ModelStatus& model : models) {
        json::object one{{"name", model.name}, {"state", models::to_string(model.state)}};
        if (model.state == ModelState::kLoading || model.state == ModelState::kWarming) {
            one["load_progress"] = rounded(model.load_progress, 2);
        }
        if (model.remote) one["upstream"] = model.remote->upstream;
        if (!model.last_error.empty()) one["last_error"] = model.last_error;
        if (model.crashes > 0) {
            one["crashes"] = model.crashes;
            one["last_crash"] = model.last_crash;
        }
        out.push_back(std::move(one));
    }
    return out;
}

json::object performance(const ModelStatus& model, double mean_latency_s) {
    const EngineStats& stats = model.stats;
    return {{"total_requests", model.requests},
            {"avg_latency", rounded(mean_latency_s, 3)},
            {"cache_hits", model.found_warm},
            {"cache_misses", model.requests - model.found_warm},
            {"batch_efficiency", rounded(ratio(stats.generation_tokens, stats.steps), 2)},
            {"batch_width", stats.batch_width},
            {"requests_running", stats.running},
            {"requests_waiting", stats.waiting},
            {"warm_started_from", api::or_null(model.info.shared.sibling)},
            {"kv_cache_usage_perc", rounded(ratio(stats.kv_cells_used, stats.kv_cells), 4)},
            {"prompt_tokens", stats.prompt_tokens},
            {"generation_tokens", stats.generation_tokens},
            {"cached_tokens", stats.cached_tokens}};
}

/// What is known of a model that another server has: nothing of its cache and steps.
json::object remote_performance(const ModelStatus& model, double mean_latency_s) {
    return {{"total_requests", model.requests},           {"avg_latency", rounded(mean_latency_s, 3)},
            {"upstream", model.remote->upstream},         {"state", models::to_string(model.state)},
            {"requests_running", model.stats.running},    {"requests_waiting", model.stats.waiting},
            {"prompt_tokens", model.stats.prompt_tokens}, {"generation_tokens", model.stats.generation_tokens},
            {"cached_tokens", model.stats.cached_tokens}};
}

}  // namespace

Health health_of(std::span<const ModelStatus> models) {
    const auto failed = std::ranges::count_if(models, [](const ModelStatus& model) {
        return model.state == ModelState::kFailed || model.state == ModelState::kUnreachable;
    });
    if (failed == std::ssize(models)) return Health::kUnhealthy;
    return failed > 0 ? Health::kDegraded : Health::kHealthy;
}

std::string readiness(bool ready) {
    return to_json(ready_object(ready));
}

std::string readiness(bool ready, std::span<const ModelStatus> models) {
    json::object out = ready_object(ready);
    out["models"] = states(models);
    return to_json(out);
}

std::string advanced_health(std::span<const ModelStatus> models, std::string_view config_problem) {
    json::object out{{"status", to_string(health_of(models))},
                     {"gpu_available", any_on_gpu(models)},
                     {"active_processors", models::summarize(models).warmed_models}};
    if (!config_problem.empty()) out["config_problem"] = config_problem;
    out["models"] = states(models);
    return to_json(out);
}

void add_cache_figures(json::object& out, const models::CacheSummary& cache) {
    out["total_models"] = cache.total_models;
    out["warmed_models"] = cache.warmed_models;
    out["cache_hit_rate"] = rounded(cache.hit_rate_percent, 1);
    out["total_cache_size_mb"] = rounded(cache.total_size_mb, 1);
    out["prefix_hit_rate"] = rounded(cache.prefix_hit_rate_percent, 1);
}

std::string performance_metrics(std::span<const ModelStatus> models, const serve::LatencyBook& latencies,
                                const batches::Figures* figures) {
    const models::CacheSummary cache = models::summarize(models);
    json::object cache_status;
    add_cache_figures(cache_status, cache);
    json::object performance_stats;
    std::uint64_t waiting = 0;
    for (const ModelStatus& model : models) {
        if (!model.alias_of.empty()) continue;  // counted under that name
        waiting += model.waiting + (is_warm(model) ? model.stats.waiting : 0);
        if (model.remote && model.requests > 0) {
            performance_stats[model.name] = remote_performance(model, latencies.mean_s(model.name));
            continue;
        }
        // A model that nobody asked for and that is not warm has no performance to tell of.
        if (model.requests == 0 && !is_warm(model)) continue;
        performance_stats[model.name] = performance(model, latencies.mean_s(model.name));
    }
    const bool on_gpu = any_on_gpu(models);
    json::object out{{"cache_status", std::move(cache_status)},
                     {"performance_stats", std::move(performance_stats)},
                     {"system_info",
                      {{"gpu_available", on_gpu},
                       {"device_preference", on_gpu ? "cuda" : "cpu"},
                       {"active_batch_processors", cache.warmed_models},
                       {"pending_batch_requests", waiting}}}};
    if (figures != nullptr) {
        out["batches"] = {{"runs_here", figures->runs_here},
                          {"unfinished", figures->unfinished},
                          {"lines_running", figures->lines_running},
                          {"lines_completed", figures->lines_completed},
                          {"lines_failed", figures->lines_failed}};
    }
    return to_json(out);
}

}  // namespace sutazai::status
