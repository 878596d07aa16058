#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/llama_completion.h"
#include "api/llama_server.h"
#include "api/rerank.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/query.h"
#include "http/routes.h"
#include "serve/embeddings.h"
#include "serve/formats.h"
#include "serve/model_pages.h"
#include "serve/reading.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

namespace llama_server = api::llama_server;

asio::awaitable<Result<serve::Reading>> read(Services& services, Exchange& exchange,
                                             Result<llama_server::ReadBody> (*parse)(std::string_view)) {
    auto body = co_await parse_body(services, exchange, parse);
    if (!body) co_return std::unexpected(std::move(body.error()));
    co_return co_await serve::read_prompt(services, exchange.caller, std::move(body->model), std::move(body->request));
}

/// Of the model that the query names, or of the default one. No model is loaded for it.
asio::awaitable<Result<llama_server::ModelProps>> props_of(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
    std::string name = query_value(exchange.request().query, "model");
    if (name.empty()) name = services.catalog.default_model();
    auto file = services.catalog.find(name);
    if (!file) co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    llama_server::ModelProps props;
    props.model = file->name;
    props.places = static_cast<std::size_t>(services.settings.batch_size);
    props.sees = !catalog::profile_of(*file).load.projector.empty();
    if (exchange.from_this_machine) props.file = file->path;  // empty for a model of another server
    for (const models::ModelStatus& status : services.models.status()) {
        if (status.name != file->name) continue;
        props.is_warm = status.pid != 0;
        if (props.is_warm) props.sees = status.info.sees;
        props.context_tokens = static_cast<int>(status.info.context_per_sequence);
        props.running = status.stats.running;
        props.places = std::max<std::size_t>(props.places, status.stats.batch_width);
    }
    auto look = [&cards = services.cards, found = std::move(*file), sources = services.catalog.sources(),
                 made = std::move(props)]() mutable -> Result<llama_server::ModelProps> {
        const auto page = serve::model_page(cards, found, sources, false);
        if (!page) return std::unexpected(page.error());
        made.chat_template = page->chat_template;
        if (!made.is_warm) made.context_tokens = static_cast<int>(page->card.context_length);
        return made;
    };
    co_return co_await serve::run_by_size(services.pool, serve::kLightBytes + 1, look);
}

}  // namespace

asio::awaitable<Result<void>> get_props(Services& services, Exchange& exchange) {
    const auto props = co_await props_of(services, exchange);
    if (!props) co_return std::unexpected(props.error());
    const std::string json = llama_server::encode_props(*props, SUTAZAI_VERSION);
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> get_slots(Services& services, Exchange& exchange) {
    const auto props = co_await props_of(services, exchange);
    if (!props) co_return std::unexpected(props.error());
    const std::string json = llama_server::encode_slots(*props);
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> post_llama_completion(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return llama_server::parse_completion(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    serve::AnswerRequest answer = serve::llama_completion(std::move(*request));
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_infill(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, llama_server::parse_infill);
    if (!request) co_return std::unexpected(request.error());
    serve::AnswerRequest answer = serve::llama_completion(std::move(*request));
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_rerank(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return api::rerank::parse(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    serve::EmbedRequest asked{request->model, request->keep_alive, request->generations(),
                              request->is_tei ? "texts" : "documents"};
    auto ranked = co_await serve::embed(services, exchange.caller, std::move(asked));
    if (!ranked) co_return std::unexpected(std::move(ranked.error()));
    std::vector<float> scores;
    scores.reserve(ranked->vectors.size());
    for (const std::vector<float>& one : ranked->vectors) scores.push_back(one.empty() ? 0 : one.front());
    std::size_t bytes = 0;
    for (const std::string& document : request->documents) bytes += document.size();
    auto encode = [asked = std::move(*request), made = std::move(*ranked),
                   all = std::move(scores)]() -> Result<std::string> {
        return api::rerank::encode(asked, made.model, all, made.prompt_tokens);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

asio::awaitable<Result<void>> post_tokenize(Services& services, Exchange& exchange) {
    auto body = co_await parse_body(services, exchange, llama_server::parse_tokenize);
    if (!body) co_return std::unexpected(std::move(body.error()));
    const bool with_pieces = body->request.echo;
    auto reading =
        co_await serve::read_prompt(services, exchange.caller, std::move(body->model), std::move(body->request));
    if (!reading) {
        if (reading.error().field == "prompt") reading.error().field = "content";
        co_return std::unexpected(std::move(reading.error()));
    }
    constexpr std::size_t kTokenBytes = 8;
    constexpr std::size_t kPieceBytes = 30;
    const std::size_t bytes = reading->tokens.size() * (with_pieces ? kPieceBytes : kTokenBytes);
    auto encode = [made = std::move(*reading), with_pieces]() -> Result<std::string> {
        return with_pieces ? llama_server::encode_pieces(made.tokens, made.pieces)
                           : llama_server::encode_tokens(made.tokens);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

asio::awaitable<Result<void>> post_detokenize(Services& services, Exchange& exchange) {
    auto reading = co_await read(services, exchange, llama_server::parse_detokenize);
    if (!reading) {
        if (reading.error().field == "prompt") reading.error().field = "tokens";
        co_return std::unexpected(std::move(reading.error()));
    }
    const std::size_t bytes = reading->text.size();
    auto encode = [text = std::move(reading->text)]() -> Result<std::string> {
        return llama_server::encode_content(text);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

asio::awaitable<Result<void>> post_apply_template(Services& services, Exchange& exchange) {
    auto reading = co_await read(services, exchange, llama_server::parse_apply_template);
    if (!reading) co_return std::unexpected(std::move(reading.error()));
    const std::size_t bytes = reading->text.size();
    auto encode = [text = std::move(reading->text)]() -> Result<std::string> {
        return llama_server::encode_prompt(text);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

}  // namespace sutazai::http
