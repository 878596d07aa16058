#include <string>
#include <utility>
#include <vector>

#include "api/anthropic.h"
#include "api/anthropic_events.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/query.h"
#include "http/routes.h"
#include "serve/formats.h"
#include "serve/reading.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

namespace anthropic = api::anthropic;

anthropic::ModelCard card_of(const catalog::ModelFile& file) {
    return {file.name, file.modified_unix_s};
}

constexpr std::uint64_t kUsualPage = 20;
constexpr std::uint64_t kMostListed = 1000;

}  // namespace

asio::awaitable<Result<void>> post_messages(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, anthropic::parse_messages);
    if (!request) co_return std::unexpected(std::move(request.error()));
    serve::AnswerRequest answer =
        serve::anthropic_messages(std::move(*request), services.settings, exchange.request_id());
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_count_tokens(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, anthropic::parse_count);
    if (!request) co_return std::unexpected(std::move(request.error()));
    const auto reading = co_await serve::read_prompt(services, exchange.caller, std::move(request->model),
                                                     std::move(request->generation));
    if (!reading) co_return std::unexpected(reading.error());
    const std::string json = anthropic::encode_count(reading->n_tokens);
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> send_models_page(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
    const std::string& query = exchange.request().query;
    const auto limit = query_number(query, "limit", 1, kMostListed);
    if (!limit) co_return std::unexpected(limit.error());
    std::vector<anthropic::ModelCard> cards;
    for (const catalog::ModelFile& file : services.catalog.list()) cards.push_back(card_of(file));
    const std::string after = query_value(query, "after_id");
    const std::string before = query_value(query, "before_id");
    const auto page = anthropic::page_of(cards, after, before, limit->value_or(kUsualPage));
    if (!page) co_return std::unexpected(page.error());
    const std::string json = anthropic::encode_models(*page);
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> send_model_info(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
    const auto file = services.catalog.find(exchange.parameter);
    // A name that no model can have is for the reader of a URL just one that does not exist.
    if (!file) co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    const std::string json = anthropic::encode_model(card_of(*file));
    co_return co_await exchange.send_json(200, json);
}

}  // namespace sutazai::http
