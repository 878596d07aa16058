#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/responses.h"
#include "http/body.h"
#include "http/query.h"
#include "http/router.h"
#include "http/routes.h"
#include "http/stream_sink.h"
#include "serve/responses.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

using api::responses::ItemPage;

/// "<id>", or "<id>/<rest>".
struct Place {
    std::string id;
    std::string rest;
};

Place place_of(std::string_view path) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    return {std::string(path.substr(0, slash)), std::string(path.substr(std::min(slash + 1, path.size())))};
}

Result<void> no_such_route() {
    return fail(ErrorCode::kNotFound, "There is no such route.");
}

Result<bool> yes_or_no(std::string_view query, std::string_view name) {
    const std::string text = query_value(query, name);
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0" || text.empty()) return false;
    return fail(ErrorCode::kInvalidArgument, std::string(name) + " must be true or false", std::string(name));
}

Result<ItemPage> page_of(std::string_view query) {
    constexpr std::uint64_t kMostListed = 100;
    ItemPage page;
    const auto limit = query_number(query, "limit", 1, kMostListed);
    if (!limit) return std::unexpected(limit.error());
    if (*limit) page.limit = **limit;
    const std::string order = query_value(query, "order");
    if (order != "asc" && order != "desc" && !order.empty()) {
        return fail(ErrorCode::kInvalidArgument, "order must be asc or desc", "order");
    }
    page.ascending = order == "asc";
    page.after = query_value(query, "after");
    return page;
}

asio::awaitable<Result<void>> watch(Services& services, Exchange& exchange, std::string id) {
    // Events count from 0; without starting_after all are told.
    const auto after =
        query_number(exchange.request().query, "starting_after", 0, std::numeric_limits<std::uint64_t>::max() - 1);
    if (!after) co_return std::unexpected(after.error());
    StreamSink sink(exchange, kServerSentEvents);
    const std::uint64_t first = *after ? **after + 1 : 0;
    co_return co_await services.responses->watch(exchange.caller, std::move(id), first, sink);
}

asio::awaitable<Result<void>> send(Exchange& exchange, const Result<std::string>& json) {
    if (!json) co_return std::unexpected(json.error());
    co_return co_await exchange.send_json(200, *json);
}

Result<serve::ResponseRequest> parse(std::string_view body) {
    return serve::parse_response(body);
}

}  // namespace

asio::awaitable<Result<void>> post_responses(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    if (request->asked.stream) {
        StreamSink sink(exchange, kServerSentEvents);
        co_return co_await services.responses->stream(exchange.caller, std::move(*request), sink);
    }
    const Result<std::string> json = co_await services.responses->create(exchange.caller, std::move(*request));
    co_return co_await send(exchange, json);
}

asio::awaitable<Result<void>> post_input_tokens(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    const Result<std::string> json = co_await services.responses->count_input(exchange.caller, std::move(*request));
    co_return co_await send(exchange, json);
}

asio::awaitable<Result<void>> get_response(Services& services, Exchange& exchange) {
    Place place = place_of(exchange.parameter);
    const std::string query = exchange.request().query;
    if (place.rest == "input_items") {
        auto page = page_of(query);
        if (!page) co_return std::unexpected(page.error());
        const Result<std::string> json =
            co_await services.responses->list_input(exchange.caller, std::move(place.id), std::move(*page));
        co_return co_await send(exchange, json);
    }
    if (!place.rest.empty()) co_return no_such_route();
    const auto streams = yes_or_no(query, "stream");
    if (!streams) co_return std::unexpected(streams.error());
    if (*streams && exchange.request().method == Method::kGet) {
        co_return co_await watch(services, exchange, std::move(place.id));
    }
    const Result<std::string> json = co_await services.responses->find(exchange.caller, std::move(place.id));
    co_return co_await send(exchange, json);
}

asio::awaitable<Result<void>> delete_response(Services& services, Exchange& exchange) {
    Place place = place_of(exchange.parameter);
    if (!place.rest.empty()) co_return no_such_route();
    const Result<std::string> json = co_await services.responses->remove(exchange.caller, std::move(place.id));
    co_return co_await send(exchange, json);
}

asio::awaitable<Result<void>> post_response_action(Services& services, Exchange& exchange) {
    Place place = place_of(exchange.parameter);
    if (place.rest != "cancel") co_return no_such_route();
    const Result<std::string> json = co_await services.responses->cancel(exchange.caller, std::move(place.id));
    co_return co_await send(exchange, json);
}

}  // namespace sutazai::http
