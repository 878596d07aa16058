#include <fmt/format.h>

#include "api/openai_embeddings.h"
#include "http/answer.h"
#include "http/generations.h"
#include "http/routes.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// The engine calls every input a prompt.
Error explained(Error error, std::size_t index, std::size_t n_inputs) {
    if (error.field == "prompt") error.field = n_inputs > 1 ? fmt::format("input[{}]", index) : "input";
    return error;
}

}  // namespace

asio::awaitable<Result<void>> post_embeddings(Services& services, Exchange& exchange) {
    auto request = api::openai::parse_embeddings(exchange.request().body, services.settings.max_batch_requests);
    if (!request) co_return std::unexpected(request.error());
    exchange.request().body = {};
    Result<models::Lease> lease = co_await lease_model(services, request->model, request->keep_alive);
    if (!lease) co_return std::unexpected(std::move(lease.error()));

    const std::size_t n = request->inputs.size();
    std::vector<GenerationRequest> inputs = request->generations();
    for (GenerationRequest& input : inputs) complete_request(services, exchange, input);
    std::vector<std::vector<float>> embeddings(n);
    std::size_t prompt_tokens = 0;
    Generations generations(lease->engine(), std::move(inputs), generations_at_once(services.settings));
    for (auto events = co_await generations.next(); !events.empty(); events = co_await generations.next()) {
        for (Generations::Event& event : events) {
            if (event.update.error)
                co_return std::unexpected(explained(std::move(*event.update.error), event.index, n));
            if (!event.update.embedding.empty()) embeddings.at(event.index) = std::move(event.update.embedding);
            if (event.update.finished) prompt_tokens += event.update.finished->usage.prompt_tokens;
        }
    }
    for (std::vector<float>& embedding : embeddings) {
        if (auto done = api::openai::shorten(embedding, request->dimensions); !done) co_return done;
    }
    co_return co_await exchange.send_json(
        200, api::openai::encode_embeddings(lease->model(), embeddings, request->base64, prompt_tokens));
}

}  // namespace sutazai::http
