#include "serve/warm_orders.h"

#include <utility>

#include "serve/admission.h"

namespace sutazai::serve {

namespace asio = boost::asio;

asio::awaitable<Result<std::string>> load_model(Context& context, Caller caller, std::string model,
                                                std::optional<KeepAlive> keep_alive, std::uint32_t context_tokens) {
    const Result<models::Lease> lease =
        co_await lease_model(context, std::move(caller), std::move(model), keep_alive, context_tokens);
    if (!lease) co_return std::unexpected(lease.error());
    co_return lease->model();
}

asio::awaitable<Result<std::string>> unload_model(Context& context, Caller caller, std::string model) {
    if (auto allowed = check_keep_alive(context.settings, caller, KeepAlive(0)); !allowed) {
        co_return std::unexpected(std::move(allowed.error()));
    }
    if (model.empty()) model = context.catalog.default_model();
    auto file = context.catalog.find(model);
    if (!file) {
        co_await context.models.catch_up();  // it may have been made just now
        file = context.catalog.find(model);
    }
    if (!file) co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    std::string name = file->name;
    const Result<bool> ended = co_await context.models.evict(name, true);
    if (!ended) co_return std::unexpected(ended.error());
    co_return name;
}

}  // namespace sutazai::serve
