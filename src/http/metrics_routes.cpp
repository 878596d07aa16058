#include <boost/algorithm/string/case_conv.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "batches/runner.h"
#include "http/routes.h"
#include "spans/exporter.h"
#include "status/prometheus.h"
#include "status/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

constexpr const char* kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

Error switched_off() {
    return {ErrorCode::kForbidden, "Performance metrics are switched off (PERFORMANCE_MONITORING=false)."};
}

/// Prometheus lists its formats, and takes the one that comes; whoever names JSON, or nothing that we have, gets that.
bool wants_prometheus(std::string_view accept) {
    const std::string listed = boost::algorithm::to_lower_copy(std::string(accept));
    if (listed.find("application/json") != std::string::npos) return false;
    return listed.find("text/plain") != std::string::npos ||
           listed.find("application/openmetrics-text") != std::string::npos;
}

asio::awaitable<Result<void>> send_prometheus(Services& services, Exchange& exchange) {
    const std::vector<models::ModelStatus> models = services.models.status();
    const batches::Figures figures = services.batch_runner->figures();
    std::optional<status::Scraped::Spans> spans;
    if (services.spans) spans = {services.spans->n_sent(), services.spans->n_dropped()};
    const status::Scraped scraped{
        .models = models,
        .requests = services.requests.metrics(),
        .version = SUTAZAI_VERSION,
        .uptime_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - services.started).count(),
        .batches = &figures,
        .spans = spans,
        .vllm_names = services.settings.metrics_vllm_names};
    const std::string text = status::prometheus_text(scraped);
    co_return co_await exchange.send(200, kPrometheusType, text);
}

}  // namespace

asio::awaitable<Result<void>> get_performance_metrics(Services& services, Exchange& exchange) {
    if (!services.settings.performance_monitoring) co_return std::unexpected(switched_off());
    exchange.add_header("Vary", "Accept");
    if (wants_prometheus(exchange.request().accept)) co_return co_await send_prometheus(services, exchange);
    const batches::Figures figures = services.batch_runner->figures();
    const std::vector<models::ModelStatus> models = services.models.status();
    const std::string body = status::performance_metrics(models, services.requests.metrics(), &figures);
    co_return co_await exchange.send_json(200, body);
}

asio::awaitable<Result<void>> get_prometheus(Services& services, Exchange& exchange) {
    if (!services.settings.performance_monitoring) co_return std::unexpected(switched_off());
    co_return co_await send_prometheus(services, exchange);
}

}  // namespace sutazai::http
