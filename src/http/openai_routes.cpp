#include <utility>
#include <vector>

#include "api/openai.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/embeddings.h"
#include "serve/formats.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

api::openai::ModelCard card_of(const catalog::ModelFile& file) {
    return {file.name, file.modified_unix_s};
}

}  // namespace

asio::awaitable<Result<void>> post_chat_completions(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, api::openai::parse_chat);
    if (!request) co_return std::unexpected(request.error());
    serve::AnswerRequest answer = serve::openai_chat(std::move(*request));
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_completions(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return api::openai::parse_completion(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    serve::AnswerRequest answer = serve::openai_completion(std::move(*request));
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_embeddings(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return api::openai::parse_embeddings(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    const Result<std::string> body = co_await serve::openai_embeddings(services, exchange.caller, std::move(*request));
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

asio::awaitable<Result<void>> get_models(Services& services, Exchange& exchange) {
    if (exchange.family == Family::kAnthropic) co_return co_await send_models_page(services, exchange);
    co_await services.models.catch_up();
    if (comes_from_a_sutazai(exchange)) {
        std::vector<api::openai::ModelCard> own;
        for (const catalog::ModelFile& file : services.catalog.list()) {
            if (!file.remote) own.push_back(card_of(file));
        }
        const std::string json = api::openai::encode_models(own);
        co_return co_await exchange.send_json(200, json);
    }
    const std::uint64_t generation = services.catalog.generation();
    if (services.model_list.generation != generation) {
        constexpr std::size_t kCardBytes = 100;
        std::vector<api::openai::ModelCard> cards;
        for (const catalog::ModelFile& file : services.catalog.list()) cards.push_back(card_of(file));
        const std::size_t bytes = cards.size() * kCardBytes;
        auto encode = [cards = std::move(cards)] { return api::openai::encode_models(cards); };
        Result<std::string> json = co_await serve::run_by_size(services.pool, bytes, encode);
        if (!json) co_return std::unexpected(json.error());
        services.model_list = {generation, std::move(*json)};
    }
    const std::string body = services.model_list.json;  // another request may make it anew meanwhile
    co_return co_await exchange.send_json(200, body);
}

asio::awaitable<Result<void>> get_model(Services& services, Exchange& exchange) {
    if (exchange.family == Family::kAnthropic) co_return co_await send_model_info(services, exchange);
    co_await services.models.catch_up();
    const auto file = services.catalog.find(exchange.parameter);
    if (!file) {
        // A name that no model can have is for the reader of a URL just one that does not exist.
        co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    }
    co_return co_await exchange.send_json(200, api::openai::encode_model(card_of(*file)));
}

}  // namespace sutazai::http
