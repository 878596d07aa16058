#include <fmt/format.h>

#include <chrono>

#include "api/batch.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/generations.h"
#include "serve/heavy.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kResultBytes = 250;  // of JSON, beside its text

struct ParsedBatch {
    api::batch::BatchRequest batch;
    std::vector<std::size_t> order;
};

}  // namespace

asio::awaitable<Result<void>> post_batch_process(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) -> Result<ParsedBatch> {
        auto parsed = api::batch::parse(body, most);
        if (!parsed) return std::unexpected(std::move(parsed.error()));
        auto order = api::batch::sharing_order(parsed->items);
        return ParsedBatch{std::move(*parsed), std::move(order)};
    };
    auto parsed = co_await parse_body(services, exchange, parse);
    if (!parsed) co_return std::unexpected(parsed.error());
    api::batch::BatchRequest& batch = parsed->batch;
    std::vector<std::size_t>& order = parsed->order;
    for (const std::size_t index : order) {
        auto& item = batch.items[index];
        auto complete = complete_request(services, exchange, *item, fmt::format("requests[{}].", index));
        if (!complete) item = std::unexpected(std::move(complete.error()));
    }
    std::erase_if(order, [&](std::size_t index) { return !batch.items[index]; });
    const std::string id = services.batch_ids.next(std::chrono::system_clock::now());
    const int batch_size = batch.batch_size.value_or(static_cast<int>(services.settings.batch_size));
    Result<models::Lease> lease = co_await lease_model(services, exchange, std::move(batch.model), batch.keep_alive);
    if (!lease) co_return std::unexpected(std::move(lease.error()));

    std::vector<Result<api::Choice>> results;
    for (const auto& item : batch.items) {
        if (item) {
            results.emplace_back(api::Choice{});
        } else {
            results.emplace_back(std::unexpected(item.error()));
        }
    }
    std::vector<GenerationRequest> requests;
    std::vector<bool> is_prompt(batch.items.size(), false);
    requests.reserve(order.size());
    for (const std::size_t index : order) {
        GenerationRequest& request = *batch.items[index];
        is_prompt[index] = std::holds_alternative<std::string>(request.prompt);
        if (lease->engine().info().has_chat_template) api::batch::as_chat(request);
        requests.push_back(std::move(request));
    }

    serve::Generations generations(lease->engine(), std::move(requests), static_cast<std::size_t>(batch_size));
    for (auto events = co_await generations.next(); !events.empty(); events = co_await generations.next()) {
        for (serve::Generations::Event& event : events) {
            const std::size_t index = order.at(event.index);
            Result<api::Choice>& result = results.at(index);
            result->text += event.update.text;
            if (event.update.finished) {
                const Timings& took = event.update.finished->timings;
                services.latencies.record(lease->model(), took.queued + took.prefill + took.decode);
                result->finished = *event.update.finished;
            }
            if (Error* error = event.update.error ? &*event.update.error : nullptr) {
                // The engine knows nothing of batches, nor that a prompt became a chat.
                if (error->field == "messages" && is_prompt[index]) error->field = "prompt";
                if (!error->field.empty()) error->field = fmt::format("requests[{}].{}", index, error->field);
                result = std::unexpected(std::move(*error));
            }
        }
    }
    std::size_t bytes = 0;
    for (const Result<api::Choice>& result : results) bytes += kResultBytes + (result ? result->text.size() : 0);
    auto encode = [id, model = lease->model(), batch_size, all = std::move(results)] {
        return api::batch::encode(id, model, batch_size, all);
    };
    const Result<std::string> body = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

}  // namespace sutazai::http
