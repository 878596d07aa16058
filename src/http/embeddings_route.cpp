#include <fmt/format.h>

#include "api/openai_embeddings.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/generations.h"
#include "serve/heavy.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kNumberBytes = 12;  // of JSON

/// The engine calls every input a prompt.
Error explained(Error error, std::size_t index, std::size_t n_inputs) {
    if (error.field == "prompt") error.field = n_inputs > 1 ? fmt::format("input[{}]", index) : "input";
    return error;
}

}  // namespace

asio::awaitable<Result<void>> post_embeddings(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return api::openai::parse_embeddings(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    Result<models::Lease> lease = co_await lease_model(services, exchange, request->model, request->keep_alive);
    if (!lease) co_return std::unexpected(std::move(lease.error()));

    const std::size_t n = request->inputs.size();
    std::vector<GenerationRequest> inputs = request->generations();
    request->inputs = {};
    for (GenerationRequest& input : inputs) {
        if (auto complete = complete_request(services, exchange, input); !complete) co_return complete;
    }
    std::vector<std::vector<float>> embeddings(n);
    std::size_t prompt_tokens = 0;
    serve::Generations generations(lease->engine(), std::move(inputs), generations_at_once(services.settings));
    for (auto events = co_await generations.next(); !events.empty(); events = co_await generations.next()) {
        for (serve::Generations::Event& event : events) {
            if (event.update.error)
                co_return std::unexpected(explained(std::move(*event.update.error), event.index, n));
            if (!event.update.embedding.empty()) embeddings.at(event.index) = std::move(event.update.embedding);
            if (event.update.finished) prompt_tokens += event.update.finished->usage.prompt_tokens;
        }
    }
    const std::size_t bytes = n * embeddings.front().size() * kNumberBytes;
    auto encode = [model = lease->model(), all = std::move(embeddings), dimensions = request->dimensions,
                   base64 = request->base64, prompt_tokens]() mutable -> Result<std::string> {
        for (std::vector<float>& embedding : all) {
            if (auto done = api::openai::shorten(embedding, dimensions); !done) return std::unexpected(done.error());
        }
        return api::openai::encode_embeddings(model, all, base64, prompt_tokens);
    };
    const Result<std::string> body = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

}  // namespace sutazai::http
