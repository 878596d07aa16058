#include "http/routes.h"
#include "http/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

asio::awaitable<Result<void>> get_health(Services& /*services*/, Exchange& exchange) {
    co_return co_await exchange.send_json(200, R"({"status": "ok"})");
}

asio::awaitable<Result<void>> get_ready(Services& services, Exchange& exchange) {
    // Without a warm-up models are loaded by the first request, and that one must be let through.
    const bool can_serve = services.models.any_warm() || !services.settings.cache_warmup_on_startup;
    const bool ready = can_serve && !services.draining;
    // Names of models and why one failed are for callers that may use them.
    const std::string body = exchange.known ? readiness(ready, services.models.status()) : readiness(ready);
    co_return co_await exchange.send_json(ready ? 200 : 503, body);
}

}  // namespace sutazai::http
