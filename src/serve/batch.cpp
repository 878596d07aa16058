#include "serve/batch.h"

#include <fmt/format.h>

#include <chrono>
#include <span>
#include <utility>
#include <variant>

#include "serve/admission.h"
#include "serve/read_all.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

/// Puts what comes into the items' results.
class BatchKeeper final : public Listener {
  public:
    /// The generation i is the item `order[i]`. Of `is_prompt` and `results` there is one for each item.
    BatchKeeper(const std::vector<std::size_t>& order, const std::vector<bool>& is_prompt,
                std::vector<Result<api::Choice>>& results)
        : order_(order), is_prompt_(is_prompt), results_(results) {}

    /// The engine knows nothing of batches, nor that a prompt became a chat.
    Error explain(Error error, std::size_t index) override {
        const std::size_t item = order_.at(index);
        if (error.field == "messages" && is_prompt_.at(item)) error.field = "prompt";
        if (!error.field.empty()) error.field = fmt::format("requests[{}].{}", item, error.field);
        return error;
    }

    asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool /*last*/) override {
        for (auto& [index, update] : events) {
            Result<api::Choice>& result = results_.at(order_.at(index));
            if (update.error) {
                result = std::unexpected(std::move(*update.error));
                continue;
            }
            result->answer.append(std::move(update.delta));
            if (update.finished) result->finished = *update.finished;
        }
        co_return Result<void>{};
    }

  private:
    const std::vector<std::size_t>& order_;
    const std::vector<bool>& is_prompt_;
    std::vector<Result<api::Choice>>& results_;
};

}  // namespace

Result<BatchJob> parse_batch(std::string_view body, std::size_t max_requests) {
    auto request = api::batch::parse(body, max_requests);
    if (!request) return std::unexpected(std::move(request.error()));
    auto order = api::batch::sharing_order(request->items);
    return BatchJob{std::move(*request), std::move(order)};
}

namespace {

asio::awaitable<Result<BatchAnswer>> run_it(Context& context, Caller caller, BatchJob job, OpenRequest& open) {
    api::batch::BatchRequest& batch = job.request;
    for (const std::size_t index : job.order) {
        auto& item = batch.items[index];
        log_prompt(context, caller, *item);
        auto complete = complete_request(caller, *item, fmt::format("requests[{}].", index));
        if (!complete) item = std::unexpected(std::move(complete.error()));
    }
    std::erase_if(job.order, [&](std::size_t index) { return !batch.items[index]; });

    BatchAnswer answer;
    answer.id = context.batch_ids.next(std::chrono::system_clock::now());
    answer.batch_size = batch.batch_size.value_or(static_cast<int>(context.settings.batch_size));
    const Result<models::Lease> lease =
        co_await lease_model(context, std::move(caller), std::move(batch.model), batch.keep_alive);
    if (!lease) co_return std::unexpected(lease.error());
    open.leased(*lease);
    answer.model = lease->model();

    std::vector<bool> is_prompt;
    for (const auto& item : batch.items) {
        is_prompt.push_back(item && std::holds_alternative<std::string>(item->prompt));
        answer.results.emplace_back(api::Choice{});
        if (!item) answer.results.back() = std::unexpected(item.error());
    }
    std::vector<GenerationRequest> requests;
    requests.reserve(job.order.size());
    for (const std::size_t index : job.order) {
        GenerationRequest& request = *batch.items[index];
        if (lease->has_chat_template()) api::batch::as_chat(request);
        if (auto settled = settle(context, *lease, request); !settled) {
            settled.error().field = fmt::format("requests[{}].{}", index, settled.error().field);
            co_return std::unexpected(std::move(settled.error()));
        }
        requests.push_back(std::move(request));
    }
    Generations generations(lease->generator(), std::move(requests), static_cast<std::size_t>(answer.batch_size));
    open.listen_to(generations);
    BatchKeeper keeper(job.order, is_prompt, answer.results);
    if (auto done = co_await read_all(generations, keeper, open); !done)
        co_return std::unexpected(std::move(done.error()));
    co_return answer;
}

}  // namespace

asio::awaitable<Result<BatchAnswer>> run_batch(Context& context, Caller caller, BatchJob job) {
    const Foreground::Hold waited_for(context.foreground, caller);
    const auto& items = job.request.items;
    const GenerationRequest nothing;
    const GenerationRequest& first = job.order.empty() ? nothing : *items.at(job.order.front());
    OpenRequest open(context.requests, caller, job.request.model, first, job.order.size());
    Result<BatchAnswer> answer = co_await run_it(context, std::move(caller), std::move(job), open);
    open.end(answer);
    co_return answer;
}

}  // namespace sutazai::serve
