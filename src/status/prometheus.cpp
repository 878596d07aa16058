#include "status/prometheus.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "base/kv_cells.h"

namespace sutazai::status {

namespace {

using models::ModelState;
using models::ModelStatus;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using serve::ModelMetrics;
using Labels = std::vector<ClientMetric::Label>;

// vLLM's buckets (v1/metrics/loggers.py), in seconds; ours begin lower, for models that are small.
constexpr std::array kFirstToken{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                                 1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
constexpr std::array kBetweenTokens{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1,  0.15, 0.2, 0.3,
                                    0.4,    0.5,   0.75,   1.0,   2.5,  5.0,   7.5,  10.0,  20.0, 40.0, 80.0};
constexpr std::size_t kOurOwn = 4;  // of kBetweenTokens, which vLLM has not
constexpr std::array kWholeRequest{0.01, 0.05, 0.1,  0.3,  0.5,  0.8,  1.0,   1.5,   2.0,   2.5,   5.0,    10.0,
                                   15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
constexpr std::size_t kOurOwnOfWhole = 3;

/// Families in the order in which they were first named, each with all its metrics.
class Page {
  public:
    void gauge(std::string name, const char* help, Labels labels, double value) {
        add(std::move(name), help, MetricType::Gauge, std::move(labels)).gauge.value = value;
    }
    void counter(std::string name, const char* help, Labels labels, double value) {
        add(std::move(name), help, MetricType::Counter, std::move(labels)).counter.value = value;
    }
    void counter(std::string name, const char* help, Labels labels, std::uint64_t value) {
        counter(std::move(name), help, std::move(labels), static_cast<double>(value));
    }
    void histogram(std::string name, const char* help, Labels labels, const Histogram& values,
                   std::span<const double> edges) {
        auto& out = add(std::move(name), help, MetricType::Histogram, std::move(labels)).histogram;
        out.sample_count = values.count();
        out.sample_sum = values.sum_s();
        out.bucket.reserve(edges.size() + 1);
        for (const double edge : edges) out.bucket.push_back({values.count_up_to(edge), edge});
        out.bucket.push_back({values.count(), std::numeric_limits<double>::infinity()});
    }
    [[nodiscard]] std::string text() const {
        std::ostringstream out;
        prometheus::TextSerializer().Serialize(out, families_);
        return std::move(out).str();
    }

  private:
    ClientMetric& add(std::string name, const char* help, MetricType type, Labels labels) {
        const auto [place, is_new] = place_of_.try_emplace(name, families_.size());
        if (is_new) families_.push_back({std::move(name), help, type, {}});
        ClientMetric& metric = families_[place->second].metric.emplace_back();
        metric.label = std::move(labels);
        return metric;
    }

    std::vector<MetricFamily> families_;
    std::map<std::string, std::size_t> place_of_;
};

double seconds(std::chrono::milliseconds duration) {
    return std::chrono::duration<double>(duration).count();
}

double ratio(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Of the model's engines. What another server does is not known.
void add_engine(Page& page, const ModelStatus& model, const Labels& labels) {
    const EngineStats& stats = model.stats;
    const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
        page.gauge(name, help, labels, static_cast<double>(value));
    };
    page.gauge("sutazai_model_warm", "1 while the model is warm", labels, model.state == ModelState::kWarm ? 1 : 0);
    gauge("sutazai_model_bytes", "Memory that the model's engine takes", model.measured_bytes);
    page.gauge("sutazai_kv_cache_usage_perc", "KV memory in use, 0 to 1", labels,
               ratio(stats.kv_cells_used, stats.kv_cells));
    gauge("sutazai_kv_cells", "Tokens that fit the KV memory", stats.kv_cells);
    gauge("sutazai_batch_width", "Sequences decoded together at most", stats.batch_width);
    gauge("sutazai_kept_prefixes", "Prefixes of finished requests in the KV memory", stats.prefixes);
    gauge("sutazai_host_cache_bytes", "Host memory that prefixes take", stats.host_bytes);
    gauge("sutazai_artifacts", "Cache artifacts on disk", stats.artifacts);
    gauge("sutazai_artifact_bytes", "Bytes of them", stats.artifact_bytes);
    const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
        page.counter(name, help, labels, value);
    };
    counter("sutazai_prefix_cache_queries_total", "Prompt tokens that were looked for in the cache",
            stats.prompt_tokens);
    counter("sutazai_prefix_cache_hits_total", "Of these, tokens whose KV was there", stats.cached_tokens);
    counter("sutazai_host_restored_tokens_total", "Tokens copied back from host memory", stats.host_restored_tokens);
    counter("sutazai_artifact_restored_tokens_total", "Of these, tokens that came from artifacts",
            stats.artifact_restored_tokens);
    counter("sutazai_num_preemptions_total", "Requests that gave their KV memory to others", stats.preemptions);
    counter("sutazai_steps_total", "Steps of the engine", stats.steps);
    page.counter("sutazai_step_seconds_total", "Time in them", labels, static_cast<double>(stats.step_us) * 1e-6);
    counter("sutazai_step_tokens_total", "Tokens drawn in them", stats.generation_tokens);
    counter("sutazai_broken_results_total", "Results that were no numbers", stats.broken_results);
    counter("sutazai_model_loads_total", "Loads of the model", model.moves.loads);
    page.counter("sutazai_model_load_seconds_total", "Time that they took", labels, seconds(model.moves.loading));
    counter("sutazai_model_load_failures_total", "Loads that failed", model.moves.failed_loads);
    counter("sutazai_model_evictions_total", "Times that it made room for another model", model.moves.evictions);
    counter("sutazai_model_unloads_total", "Times that it was unloaded by order or for being idle",
            model.moves.unloads);
    counter("sutazai_engine_crashes_total", "Engines that ended without having been told to", model.crashes);
}

void add_model(Page& page, const ModelStatus& model) {
    const Labels labels{{"model_name", model.name}};
    page.gauge("sutazai_num_requests_running", "Requests that have begun", labels,
               static_cast<double>(model.stats.running));
    page.gauge("sutazai_num_requests_waiting", "Requests that wait, for the model or in its engine", labels,
               static_cast<double>(model.stats.waiting + (model.remote ? 0 : model.waiting)));
    const auto leases = [&](const char* found, std::uint64_t n) {
        page.counter("sutazai_model_requests_total", "Requests for the model, by whether they found it warm",
                     {{"model_name", model.name}, {"found", found}}, n);
    };
    if (model.remote) {
        leases("remote", model.requests);
        return;
    }
    leases("warm", model.found_warm);
    leases("cold", model.requests - model.found_warm);
    add_engine(page, model, labels);
}

void add_requests(Page& page, const std::string& name, const ModelMetrics& metrics) {
    const Labels labels{{"model_name", name}};
    for (const auto& [outcome, n] : metrics.outcomes) {
        page.counter("sutazai_requests_total", "Requests that have ended, by how",
                     {{"model_name", name}, {"outcome", std::string(outcome)}}, n);
    }
    if (name.empty()) return;  // those that found no model
    page.counter("sutazai_prompt_tokens_total", "Prompt tokens of requests that ended well", labels,
                 metrics.prompt_tokens);
    page.counter("sutazai_cached_tokens_total", "Of these, tokens whose KV was there", labels, metrics.cached_tokens);
    page.counter("sutazai_generation_tokens_total", "Tokens of answers", labels, metrics.generated_tokens);
    page.histogram("sutazai_time_to_first_token_seconds", "From a request's arrival to its first text", labels,
                   metrics.ttft, kFirstToken);
    page.histogram("sutazai_inter_token_latency_seconds", "Between two pieces of text of an answer", labels,
                   metrics.itl, kBetweenTokens);
    page.histogram("sutazai_request_queue_time_seconds", "In the engine's queue", labels, metrics.queue, kWholeRequest);
    page.histogram("sutazai_request_prefill_time_seconds", "From there to the first token", labels, metrics.prefill,
                   kWholeRequest);
    page.histogram("sutazai_request_decode_time_seconds", "From there to the last", labels, metrics.decode,
                   kWholeRequest);
    page.histogram("sutazai_e2e_request_latency_seconds", "From a request's arrival to its end", labels, metrics.e2e,
                   kWholeRequest);
}

void add_vllm_model(Page& page, const ModelStatus& model) {
    const Labels labels{{"model_name", model.name}, {"engine", "0"}};
    const EngineStats& stats = model.stats;
    page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", labels,
               static_cast<double>(stats.running));
    page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", labels,
               static_cast<double>(stats.waiting + (model.remote ? 0 : model.waiting)));
    if (model.remote) return;
    page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", labels,
               ratio(stats.kv_cells_used, stats.kv_cells));
    page.gauge("vllm:cache_config_info", "Information of the cache",
               {{"model_name", model.name},
                {"engine", "0"},
                {"block_size", std::to_string(kBlockTokens)},
                {"num_gpu_blocks", std::to_string(stats.kv_cells / kBlockTokens)}},
               1);
    page.counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in tokens.", labels, stats.prompt_tokens);
    page.counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens.", labels, stats.cached_tokens);
    page.counter("vllm:num_preemptions_total", "Cumulative number of preemptions.", labels, stats.preemptions);
}

void add_vllm_requests(Page& page, const std::string& name, const ModelMetrics& metrics) {
    const Labels labels{{"model_name", name}, {"engine", "0"}};
    page.counter("vllm:prompt_tokens_total", "Number of prefill tokens processed.", labels, metrics.prompt_tokens);
    page.counter("vllm:generation_tokens_total", "Number of generation tokens processed.", labels,
                 metrics.generated_tokens);
    for (const char* reason : {"stop", "length"}) {
        const auto found = metrics.outcomes.find(reason);
        page.counter("vllm:request_success_total", "Count of successfully processed requests.",
                     {{"model_name", name}, {"engine", "0"}, {"finished_reason", reason}},
                     found == metrics.outcomes.end() ? 0 : found->second);
    }
    const auto between = std::span(kBetweenTokens).subspan(kOurOwn);
    const auto whole = std::span(kWholeRequest).subspan(kOurOwnOfWhole);
    page.histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", labels,
                   metrics.ttft, kFirstToken);
    page.histogram("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", labels,
                   metrics.itl, between);
    page.histogram("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", labels,
                   metrics.queue, whole);
    page.histogram("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", labels,
                   metrics.prefill, whole);
    page.histogram("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", labels,
                   metrics.decode, whole);
    page.histogram("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", labels,
                   metrics.e2e, whole);
}

void add_server(Page& page, const Scraped& scraped) {
    page.gauge("sutazai_build_info", "1, with the server's version", {{"version", std::string(scraped.version)}}, 1);
    page.gauge("sutazai_uptime_seconds", "Since the server started", {}, scraped.uptime_s);
    std::map<std::string, double> states;
    for (const ModelStatus& model : scraped.models) ++states[models::to_string(model.state)];
    for (const auto& [state, n] : states) {
        page.gauge("sutazai_models", "Models of the catalogue, by state", {{"state", state}}, n);
    }
    if (scraped.spans) {
        page.counter("sutazai_traced_requests_total", "Requests by what became of their spans", {{"outcome", "sent"}},
                     scraped.spans->sent);
        page.counter("sutazai_traced_requests_total", "", {{"outcome", "dropped"}}, scraped.spans->dropped);
    }
    if (scraped.batches == nullptr) return;
    page.gauge("sutazai_batches_unfinished", "Batches of /v1/batches that have not ended", {},
               static_cast<double>(scraped.batches->unfinished));
    page.gauge("sutazai_batch_lines_running", "Lines of them that run", {},
               static_cast<double>(scraped.batches->lines_running));
    page.counter("sutazai_batch_lines_total", "Lines of them that have ended", {{"outcome", "completed"}},
                 scraped.batches->lines_completed);
    page.counter("sutazai_batch_lines_total", "", {{"outcome", "failed"}}, scraped.batches->lines_failed);
}

}  // namespace

std::string prometheus_text(const Scraped& scraped) {
    Page page;
    add_server(page, scraped);
    const auto is_told = [](const ModelStatus& model) {
        const bool known = model.requests > 0 || model.waiting > 0 || model.state == ModelState::kWarm ||
                           model.moves.loads + model.moves.failed_loads > 0;
        return model.alias_of.empty() && known;
    };
    for (const ModelStatus& model : scraped.models) {
        if (!is_told(model)) continue;
        add_model(page, model);
        if (scraped.vllm_names) add_vllm_model(page, model);
    }
    for (const auto& [name, metrics] : scraped.requests) {
        add_requests(page, name, metrics);
        if (scraped.vllm_names && !name.empty()) add_vllm_requests(page, name, metrics);
    }
    return page.text();
}

}  // namespace sutazai::status
