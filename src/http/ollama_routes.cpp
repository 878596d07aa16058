#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "api/ollama.h"
#include "api/ollama_embeddings.h"
#include "api/ollama_lines.h"
#include "api/ollama_models.h"
#include "api/vectors.h"
#include "base/json_text.h"
#include "base/ollama_version.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/embeddings.h"
#include "serve/formats.h"
#include "serve/model_pages.h"
#include "serve/warm_orders.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

namespace ollama = api::ollama;
using Clock = std::chrono::steady_clock;

asio::awaitable<Result<void>> carry_out(Services& services, Exchange& exchange, ollama::Route route,
                                        ollama::AnswerBody body) {
    const bool unloads = body.order == ollama::Order::kUnload;
    Result<std::string> model;
    if (unloads) {
        model = co_await serve::unload_model(services, exchange.caller, std::move(body.model));
    } else {
        const auto context_tokens = static_cast<std::uint32_t>(body.context_tokens);
        model = co_await serve::load_model(services, exchange.caller, std::move(body.model), body.keep_alive,
                                           context_tokens);
    }
    if (!model) co_return std::unexpected(model.error());
    const std::string json =
        ollama::encode_order(route, *model, std::chrono::system_clock::now(), unloads ? "unload" : "load");
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> answer(Services& services, Exchange& exchange, ollama::Route route) {
    const auto parse = route == ollama::Route::kChat ? ollama::parse_chat : ollama::parse_generate;
    auto body = co_await parse_body(services, exchange, parse);
    if (!body) co_return std::unexpected(body.error());
    if (body->order != ollama::Order::kAnswer) {
        co_return co_await carry_out(services, exchange, route, std::move(*body));
    }
    serve::AnswerRequest request = serve::ollama_answer(route, std::move(*body));
    co_return co_await send_answer(services, exchange, std::move(request));
}

struct Embedded {
    serve::Embeddings made;
    ollama::Durations durations;
};

/// No inputs: the model is loaded, and there are no vectors.
asio::awaitable<Result<Embedded>> embed(Services& services, Exchange& exchange, api::openai::EmbeddingsRequest body) {
    const auto arrived = Clock::now();
    Embedded out;
    if (body.inputs.empty()) {
        auto model = co_await serve::load_model(services, exchange.caller, std::move(body.model), body.keep_alive);
        if (!model) co_return std::unexpected(std::move(model.error()));
        out.made.model = std::move(*model);
        out.made.warm_at = Clock::now();
    } else {
        serve::EmbedRequest asked{std::move(body.model), body.keep_alive, body.generations()};
        auto made = co_await serve::embed(services, exchange.caller, std::move(asked));
        if (!made) co_return std::unexpected(std::move(made.error()));
        out.made = std::move(*made);
    }
    out.durations = {out.made.warm_at - arrived, Clock::now() - arrived};
    co_return out;
}

std::size_t json_bytes(const serve::Embeddings& embeddings) {
    constexpr std::size_t kNumberBytes = 12;
    return embeddings.vectors.empty() ? 0
                                      : embeddings.vectors.size() * embeddings.vectors.front().size() * kNumberBytes;
}

}  // namespace

asio::awaitable<Result<void>> post_ollama_chat(Services& services, Exchange& exchange) {
    co_return co_await answer(services, exchange, ollama::Route::kChat);
}

asio::awaitable<Result<void>> post_ollama_generate(Services& services, Exchange& exchange) {
    co_return co_await answer(services, exchange, ollama::Route::kGenerate);
}

asio::awaitable<Result<void>> post_ollama_embed(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return ollama::parse_embed(body, most);
    };
    auto body = co_await parse_body(services, exchange, parse);
    if (!body) co_return std::unexpected(body.error());
    const std::size_t dimensions = body->dimensions;
    auto embedded = co_await embed(services, exchange, std::move(*body));
    if (!embedded) co_return std::unexpected(embedded.error());
    const std::size_t bytes = json_bytes(embedded->made);
    auto encode = [all = std::move(*embedded), dimensions]() mutable -> Result<std::string> {
        for (std::vector<float>& vector : all.made.vectors) {
            if (auto done = api::shorten(vector, dimensions); !done) return std::unexpected(done.error());
        }
        return ollama::encode_embed(all.made.model, all.made.vectors, all.made.prompt_tokens, all.durations);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

asio::awaitable<Result<void>> post_ollama_embeddings(Services& services, Exchange& exchange) {
    auto body = co_await parse_body(services, exchange, ollama::parse_embeddings);
    if (!body) co_return std::unexpected(body.error());
    auto embedded = co_await embed(services, exchange, std::move(*body));
    if (!embedded) co_return std::unexpected(embedded.error());
    const std::vector<float> none;
    const auto& vectors = embedded->made.vectors;
    const std::string json = ollama::encode_embedding(vectors.empty() ? none : vectors.front());
    co_return co_await exchange.send_json(200, json);
}

asio::awaitable<Result<void>> get_ollama_tags(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
    // Files that nobody has looked into yet are, beside this thread.
    std::vector<catalog::ModelFile> all = services.catalog.list();
    if (comes_from_a_sutazai(exchange)) std::erase_if(all, [](const auto& file) { return file.remote.has_value(); });
    auto encode = [&cards = services.cards, files = std::move(all)] { return ollama::encode_tags(cards.all(files)); };
    co_return co_await send_made(services, exchange, 200, serve::kLightBytes + 1, encode);
}

asio::awaitable<Result<void>> get_ollama_ps(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
    std::vector<std::pair<catalog::ModelFile, models::ModelStatus>> warm;
    for (models::ModelStatus& status : services.models.status()) {
        if (status.pid == 0 || !status.alias_of.empty()) continue;
        if (auto file = services.catalog.find(status.name)) warm.emplace_back(std::move(*file), std::move(status));
    }
    auto encode = [&cards = services.cards, warm = std::move(warm)] {
        std::vector<ollama::RunningModel> all;
        for (const auto& [file, status] : warm) {
            if (auto card = cards.of(file)) all.push_back(serve::running_model(std::move(*card), status));
        }
        return ollama::encode_ps(all, std::chrono::system_clock::now());
    };
    co_return co_await send_made(services, exchange, 200, serve::kLightBytes + 1, encode);
}

asio::awaitable<Result<void>> post_ollama_show(Services& services, Exchange& exchange) {
    auto body = co_await parse_body(services, exchange, ollama::parse_show);
    if (!body) co_return std::unexpected(body.error());
    co_await services.models.catch_up();
    auto file = services.catalog.find(body->model);
    if (!file) {
        file.error().field = "model";
        co_return std::unexpected(std::move(file.error()));
    }
    auto encode = [&cards = services.cards, file = std::move(*file), sources = services.catalog.sources(),
                   verbose = body->verbose]() -> Result<std::string> {
        const auto page = serve::model_page(cards, file, sources, verbose);
        if (!page) return std::unexpected(page.error());
        return ollama::encode_show(*page);
    };
    co_return co_await send_made(services, exchange, 200, serve::kLightBytes + 1, encode);
}

asio::awaitable<Result<void>> get_ollama_version(Services& /*services*/, Exchange& exchange) {
    std::string json = R"({"version":)";
    append_quoted(json, kOllamaVersion);
    json += '}';
    co_return co_await exchange.send_json(200, json);
}

}  // namespace sutazai::http
