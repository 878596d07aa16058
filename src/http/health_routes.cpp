#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "api/openapi.h"
#include "http/body.h"
#include "http/routes.h"
#include "ipc/run_blocking.h"
#include "status/health.h"
#include "status/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kModelBytes = 60;  // of JSON that tells of its state

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

/// What advanced health is made of, wherever that is done.
struct HealthPage {
    std::vector<models::ModelStatus> models;
    std::string problem;
    status::HealthFacts facts;

    struct Made {
        unsigned status;
        std::string body;
    };
    [[nodiscard]] Made make() {
        facts.models = models;
        facts.config_problem = problem;
        const status::Verdict verdict = status::judge(facts);
        return {verdict.health == status::Health::kUnhealthy ? 503U : 200U, status::advanced_health(facts, verdict)};
    }
};

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
    const config::Settings& settings = services.settings;
    status::Folders folders{{"home", settings.home}, {"models", settings.models_dir}};
    if (settings.cache_artifact_bytes > 0) folders.emplace_back("artifacts", settings.cache_artifacts_dir);
    auto look = [folders = std::move(folders)] { return status::look_at_machine(folders); };
    Result<status::Machine> machine = co_await ipc::run_blocking(services.pool, look);
    if (!machine) co_return std::unexpected(machine.error());
    HealthPage page{.models = services.models.status(),
                    .problem = services.catalog.config_problem(),
                    .facts = {.draining = services.draining,
                              .version = SUTAZAI_VERSION,
                              .uptime_s = seconds_since(services.started),
                              .max_queue = settings.max_queue,
                              .room = services.models.room(),
                              .standby_engines = services.models.standby().size(),
                              .machine = std::move(*machine)}};
    const std::size_t bytes = page.models.size() * kModelBytes;
    auto encode = [page = std::move(page)]() mutable { return page.make(); };
    const Result<HealthPage::Made> made = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!made) co_return std::unexpected(made.error());
    co_return co_await exchange.send_json(made->status, made->body);
}

}  // namespace sutazai::http
