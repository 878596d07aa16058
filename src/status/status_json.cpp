#include "status/status_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_text.h"

namespace sutazai::status {

namespace {

using models::ModelState;
using models::ModelStatus;

/// Appends as fmt does. Strings that are not constants go through quoted().
template <typename... Args>
void append(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string quoted(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

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

void append_states(std::string& out, std::span<const ModelStatus> models) {
    out += R"("models": [)";
    for (const ModelStatus& model : models) {
        append(out, R"({}{{"name": {}, "state": "{}")", &model == models.data() ? "" : ", ", quoted(model.name),
               models::to_string(model.state));
        if (model.state == ModelState::kLoading || model.state == ModelState::kWarming)
            append(out, R"(, "load_progress": {:.2f})", model.load_progress);
        if (!model.last_error.empty()) append(out, R"(, "last_error": {})", quoted(model.last_error));
        if (model.crashes > 0)
            append(out, R"(, "crashes": {}, "last_crash": {})", model.crashes, quoted(model.last_crash));
        out += '}';
    }
    out += ']';
}

void append_performance(std::string& out, const ModelStatus& model, double mean_latency_s) {
    const ipc::EngineStats& stats = model.stats;
    append(
        out,
        R"({}: {{"total_requests": {}, "avg_latency": {:.3f}, "cache_hits": {}, "cache_misses": {}, )"
        R"("batch_efficiency": {:.2f}, "batch_width": {}, "requests_running": {}, "requests_waiting": {}, "kv_cache_usage_perc": {:.4f}, )"
        R"("prompt_tokens": {}, "generation_tokens": {}, "cached_tokens": {}}})",
        quoted(model.name), model.requests, mean_latency_s, model.found_warm, model.requests - model.found_warm,
        ratio(stats.generation_tokens, stats.steps), stats.width, stats.running, stats.waiting,
        ratio(stats.kv_cells_used, stats.kv_cells), stats.prompt_tokens, stats.generation_tokens, stats.cached_tokens);
}

}  // namespace

Health health_of(std::span<const ModelStatus> models) {
    const auto failed = std::ranges::count(models, ModelState::kFailed, &ModelStatus::state);
    if (failed == std::ssize(models)) return Health::kUnhealthy;
    return failed > 0 ? Health::kDegraded : Health::kHealthy;
}

std::string readiness(bool ready) {
    return fmt::format(R"({{"status": "{}"}})", ready ? "ready" : "not ready");
}

std::string readiness(bool ready, std::span<const ModelStatus> models) {
    std::string out = readiness(ready);
    out.back() = ',';
    out += ' ';
    append_states(out, models);
    out += '}';
    return out;
}

std::string advanced_health(std::span<const ModelStatus> models) {
    std::string out;
    append(out, R"({{"status": "{}", "gpu_available": {}, "active_processors": {}, )", to_string(health_of(models)),
           any_on_gpu(models), std::ranges::count_if(models, is_warm));
    append_states(out, models);
    out += '}';
    return out;
}

std::string cache_figures(const models::CacheSummary& cache) {
    return fmt::format(
        R"("total_models": {}, "warmed_models": {}, "cache_hit_rate": {:.1f}, "total_cache_size_mb": {:.1f}, )"
        R"("prefix_hit_rate": {:.1f})",
        cache.total_models, cache.warmed_models, cache.hit_rate_percent, cache.total_size_mb,
        cache.prefix_hit_rate_percent);
}

std::string performance_metrics(std::span<const ModelStatus> models, const serve::LatencyBook& latencies) {
    std::uint64_t waiting = 0;
    for (const ModelStatus& model : models) waiting += model.waiting + (is_warm(model) ? model.stats.waiting : 0);
    const models::CacheSummary cache = models::summarize(models);
    const bool on_gpu = any_on_gpu(models);
    std::string out;
    append(out, R"({{"cache_status": {{{}}}, "performance_stats": {{)", cache_figures(cache));
    bool first = true;
    for (const ModelStatus& model : models) {
        // A model that nobody asked for and that is not warm has no performance to tell of.
        if (model.requests == 0 && !is_warm(model)) continue;
        if (!first) out += ", ";
        first = false;
        append_performance(out, model, latencies.mean_s(model.name));
    }
    append(out,
           R"(}}, "system_info": {{"gpu_available": {}, "device_preference": "{}", "active_batch_processors": {}, )"
           R"("pending_batch_requests": {}}}}})",
           on_gpu, on_gpu ? "cuda" : "cpu", cache.warmed_models, waiting);
    return out;
}

}  // namespace sutazai::status
