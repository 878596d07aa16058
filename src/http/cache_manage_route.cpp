#include <utility>
#include <vector>

#include "api/cache_manage.h"
#include "http/body.h"
#include "http/gate.h"
#include "http/routes.h"
#include "serve/cache_orders.h"
#include "status/cache_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

using api::CacheAction;

/// Folders of thousands of models are no reason for the I/O thread to be held.
asio::awaitable<Result<void>> send_status(Services& services, Exchange& exchange) {
    constexpr std::size_t kModelBytes = 700;
    const models::AdvancedModelManager& manager = services.models;
    std::vector<models::ModelStatus> models = manager.status();
    const std::size_t bytes = models.size() * kModelBytes;
    auto encode = [models = std::move(models), room = manager.room(), standby = manager.standby(),
                   problem = services.catalog.config_problem()] {
        return status::cache_status_json(models, room, standby, problem);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

}  // namespace

asio::awaitable<Result<void>> post_cache_manage(Services& services, Exchange& exchange) {
    auto command = co_await parse_body(services, exchange, api::parse_cache_command);
    if (!command) co_return std::unexpected(command.error());
    co_await services.models.catch_up();
    const CacheAction action = command->action;
    if (action == CacheAction::kStatus) co_return co_await send_status(services, exchange);
    if (auto allowed = require_admin(services, exchange, api::to_string(action), "action"); !allowed) {
        co_return allowed;
    }
    const auto outcomes = co_await serve::carry_out(services.models, std::move(*command));
    co_return co_await exchange.send_json(200, status::cache_outcomes_json(action, outcomes));
}

}  // namespace sutazai::http
