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

json::object ready_object(bool ready) {
    return {{"status", ready ? "ready" : "not ready"}};
}

json::object quantiles(const Histogram& values) {
    return {{"p50", rounded(values.quantile_s(0.5), 6)},  {"p95", rounded(values.quantile_s(0.95), 6)},
            {"p99", rounded(values.quantile_s(0.99), 6)}, {"mean", rounded(values.mean_s(), 6)},
            {"sum", rounded(values.sum_s(), 6)},          {"count", values.count()}};
}

/// What was seen of requests, wherever the model is.
void add_requests(json::object& out, const serve::ModelMetrics& requests) {
    out["tokens_per_s"] = rounded(requests.tokens.per_s(std::chrono::steady_clock::now()), 1);
    out["ttft_s"] = quantiles(requests.ttft);
    out["itl_s"] = quantiles(requests.itl);
    out["queue_s"] = quantiles(requests.queue);
    out["e2e_s"] = quantiles(requests.e2e);
    json::object& outcomes = out["outcomes"].emplace_object();
    for (const auto& [outcome, n] : requests.outcomes) outcomes[outcome] = n;
    out["request_prompt_tokens"] = requests.prompt_tokens;
    out["request_generation_tokens"] = requests.generated_tokens;
}

json::object performance(const ModelStatus& model, const serve::ModelMetrics& requests) {
    const EngineStats& stats = model.stats;
    json::object out{
        {"total_requests", model.requests},
        {"avg_latency", rounded(requests.e2e.mean_s(), 3)},
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
        {"cached_tokens", stats.cached_tokens},
        {"prefix_hit_rate", rounded(100 * ratio(stats.cached_tokens, stats.prompt_tokens), 1)},
        {"batch_size", {{"now", stats.running}, {"mean", rounded(ratio(stats.generation_tokens, stats.steps), 2)}}},
        {"preemptions", stats.preemptions},
        {"loads", model.moves.loads},
        {"load_failures", model.moves.failed_loads},
        {"evictions", model.moves.evictions},
        {"unloads", model.moves.unloads},
        {"artifacts",
         {{"count", stats.artifacts},
          {"bytes", stats.artifact_bytes},
          {"restored_tokens", stats.artifact_restored_tokens}}}};
    add_requests(out, requests);
    return out;
}

/// Of another name of a model, which has no engine of its own.
json::object alias_performance(const ModelStatus& model, const serve::ModelMetrics& requests) {
    json::object out{{"total_requests", requests.requests},
                     {"avg_latency", rounded(requests.e2e.mean_s(), 3)},
                     {"alias_of", model.alias_of}};
    add_requests(out, requests);
    return out;
}

/// What is known of a model that another server has: nothing of its cache and steps.
json::object remote_performance(const ModelStatus& model, const serve::ModelMetrics& requests) {
    json::object out{{"total_requests", model.requests},           {"avg_latency", rounded(requests.e2e.mean_s(), 3)},
                     {"upstream", model.remote->upstream},         {"state", models::to_string(model.state)},
                     {"requests_running", model.stats.running},    {"requests_waiting", model.stats.waiting},
                     {"prompt_tokens", model.stats.prompt_tokens}, {"generation_tokens", model.stats.generation_tokens},
                     {"cached_tokens", model.stats.cached_tokens}};
    add_requests(out, requests);
    return out;
}

}  // namespace

bool any_on_gpu(std::span<const ModelStatus> models) {
    return std::ranges::any_of(models, [](const ModelStatus& model) { return is_warm(model) && model.info.on_gpu; });
}

json::object state_json(const ModelStatus& model) {
    json::object out{{"name", model.name}, {"state", models::to_string(model.state)}};
    if (model.state == ModelState::kLoading || model.state == ModelState::kWarming) {
        out["load_progress"] = rounded(model.load_progress, 2);
    }
    if (model.remote) out["upstream"] = model.remote->upstream;
    if (!model.last_error.empty()) out["last_error"] = model.last_error;
    if (model.crashes > 0) {
        out["crashes"] = model.crashes;
        out["last_crash"] = model.last_crash;
    }
    return out;
}

std::string readiness(bool ready) {
    return to_json(ready_object(ready));
}

std::string readiness(bool ready, std::span<const ModelStatus> models) {
    json::object out = ready_object(ready);
    json::array& all = out["models"].emplace_array();
    for (const ModelStatus& model : models) all.push_back(state_json(model));
    return to_json(out);
}

void add_cache_figures(json::object& out, const models::CacheSummary& cache) {
    out["total_models"] = cache.total_models;
    out["warmed_models"] = cache.warmed_models;
    out["cache_hit_rate"] = rounded(cache.hit_rate_percent, 1);
    out["total_cache_size_mb"] = rounded(cache.total_size_mb, 1);
    out["prefix_hit_rate"] = rounded(cache.prefix_hit_rate_percent, 1);
}

std::string performance_metrics(std::span<const ModelStatus> models, const serve::RequestMetrics& requests,
                                const batches::Figures* figures) {
    const models::CacheSummary cache = models::summarize(models);
    json::object cache_status;
    add_cache_figures(cache_status, cache);
    json::object performance_stats;
    const auto of = [&](const std::string& name) -> const serve::ModelMetrics& {
        static const serve::ModelMetrics kNone;
        const auto found = requests.find(name);
        return found == requests.end() ? kNone : found->second;
    };
    std::uint64_t waiting = 0;
    for (const ModelStatus& model : models) {
        if (!model.alias_of.empty()) {
            // Its engine counts under that name; its requests count here.
            const serve::ModelMetrics& its = of(model.name);
            if (its.requests > 0) performance_stats[model.name] = alias_performance(model, its);
            continue;
        }
        waiting += model.waiting + (is_warm(model) ? model.stats.waiting : 0);
        if (model.remote && model.requests > 0) {
            performance_stats[model.name] = remote_performance(model, of(model.name));
            continue;
        }
        // A model that nobody asked for and that is not warm has no performance to tell of.
        if (model.requests == 0 && !is_warm(model)) continue;
        performance_stats[model.name] = performance(model, of(model.name));
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
