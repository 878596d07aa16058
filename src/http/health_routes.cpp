#include <utility>
#include <vector>

#include "api/openapi.h"
#include "http/body.h"
#include "http/routes.h"
#include "status/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kModelBytes = 60;  // of JSON that tells of its state

}  // namespace

asio::awaitable<Result<void>> get_health(Services& /*services*/, Exchange& exchange) {
    co_return co_await exchange.send_json(200, R"({"status": "ok"})");
}

asio::awaitable<Result<void>> get_openapi(Services& /*services*/, Exchange& exchange) {
    co_return co_await exchange.send_json(200, api::openapi_json());
}

asio::awaitable<Result<void>> get_ready(Services& services, Exchange& exchange) {
    // Without a warm-up models are loaded by the first request, and that one must be let through.
    const bool can_serve = services.models.any_warm() || !services.settings.cache_warmup_on_startup;
    const bool ready = can_serve && !services.draining;
    // Names of models and why one failed are for callers that may use them.
    if (!exchange.known) co_return co_await exchange.send_json(ready ? 200 : 503, status::readiness(ready));
    std::vector<models::ModelStatus> models = services.models.status();
    const std::size_t bytes = models.size() * kModelBytes;
    auto encode = [ready, models = std::move(models)] { return status::readiness(ready, models); };
    co_return co_await send_made(services, exchange, ready ? 200 : 503, bytes, encode);
}

asio::awaitable<Result<void>> get_advanced_health(Services& services, Exchange& exchange) {
    std::vector<models::ModelStatus> models = services.models.status();
    const bool can_serve = status::health_of(models) != status::Health::kUnhealthy;
    const std::size_t bytes = models.size() * kModelBytes;
    auto encode = [models = std::move(models), problem = services.catalog.config_problem()] {
        return status::advanced_health(models, problem);
    };
    co_return co_await send_made(services, exchange, can_serve ? 200 : 503, bytes, encode);
}

}  // namespace sutazai::http
