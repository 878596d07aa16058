#include "http/routes.h"
#include "http/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

asio::awaitable<Result<void>> get_health(Services& /*services*/, Exchange& exchange) {
    co_return co_await exchange.send_json(200, R"({"status": "ok"})");
}

asio::awaitable<Result<void>> get_ready(Services& services, Exchange& exchange) {
    const bool ready = !services.draining && services.models.any_warm();
    co_return co_await exchange.send_json(ready ? 200 : 503, readiness(ready, services.models.status()));
}

}  // namespace sutazai::http
