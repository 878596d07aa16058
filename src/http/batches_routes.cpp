#include <chrono>
#include <string>
#include <utility>

#include "api/openai_batches.h"
#include "api/openai_files.h"
#include "batches/runner.h"
#include "batches/store.h"
#include "http/body.h"
#include "http/query.h"
#include "http/routes.h"
#include "ipc/run_blocking.h"

/// OpenAI's /v1/batches.
namespace sutazai::http {

namespace asio = boost::asio;
namespace openai = api::openai;

namespace {

constexpr int kListed = 20;
constexpr int kMostListed = 100;
constexpr std::string_view kCancelSuffix = "/cancel";

batches::UnixTime unix_now() {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

std::unexpected<Error> no_such_batch() {
    return fail(ErrorCode::kNotFound, "There is no such batch.", "batch_id");
}

asio::awaitable<Result<void>> send_batch(Exchange& exchange, const Result<batches::BatchRecord>& batch) {
    if (!batch) co_return std::unexpected(batch.error());
    const std::string body = openai::encode_batch(batch->object);
    co_return co_await exchange.send_json(200, body);
}

}  // namespace

asio::awaitable<Result<void>> post_batch(Services& services, Exchange& exchange) {
    auto order = co_await parse_body(services, exchange, openai::parse_batch_order);
    if (!order) co_return std::unexpected(std::move(order.error()));
    auto add = [store = services.batch_store, tenant = exchange.caller.tenant, order = std::move(*order)] {
        return store->add_batch(tenant, order, unix_now());
    };
    const Result<batches::BatchRecord> batch = co_await ipc::run_blocking(services.pool, add);
    services.batch_runner->look_again();
    co_return co_await send_batch(exchange, batch);
}

asio::awaitable<Result<void>> get_batches(Services& services, Exchange& exchange) {
    const auto pairs = query_pairs(exchange.request().query);
    auto query = openai::read_list_query(pairs, kListed, kMostListed, false);
    if (!query) co_return std::unexpected(std::move(query.error()));
    auto list = [store = services.batch_store, tenant = exchange.caller.tenant,
                 query = std::move(*query)]() -> Result<std::string> {
        if (!store->exists()) return openai::encode_batches({}, false);
        const auto page = store->batches(tenant, query);
        if (!page) return std::unexpected(page.error());
        return openai::encode_batches(page->items, page->has_more);
    };
    const Result<std::string> body = co_await ipc::run_blocking(services.pool, list);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

asio::awaitable<Result<void>> get_batch(Services& services, Exchange& exchange) {
    if (!services.batch_store->exists()) co_return no_such_batch();
    auto find = [store = services.batch_store, tenant = exchange.caller.tenant, id = exchange.parameter] {
        return store->batch(tenant, id);
    };
    const Result<batches::BatchRecord> batch = co_await ipc::run_blocking(services.pool, find);
    co_return co_await send_batch(exchange, batch);
}

asio::awaitable<Result<void>> post_batch_cancel(Services& services, Exchange& exchange) {
    std::string id = exchange.parameter;
    if (!id.ends_with(kCancelSuffix)) co_return fail(ErrorCode::kNotFound, "There is no such route.");
    id.resize(id.size() - kCancelSuffix.size());
    if (!services.batch_store->exists()) co_return no_such_batch();
    auto cancel = [store = services.batch_store, tenant = exchange.caller.tenant, id = std::move(id)] {
        return store->cancel(tenant, id, unix_now());
    };
    const Result<batches::BatchRecord> batch = co_await ipc::run_blocking(services.pool, cancel);
    services.batch_runner->look_again();
    co_return co_await send_batch(exchange, batch);
}

}  // namespace sutazai::http
