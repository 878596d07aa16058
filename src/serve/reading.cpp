#include "serve/reading.h"

#include <span>
#include <utility>

#include "serve/admission.h"
#include "serve/read_all.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

class ReadingKeeper final : public Listener {
  public:
    explicit ReadingKeeper(Reading& reading) : reading_(reading) {}

    asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool /*last*/) override {
        for (auto& [index, update] : events) {
            if (update.error) co_return std::unexpected(std::move(*update.error));
            reading_.text += update.delta.content;
            for (TokenScore& score : update.scores) reading_.pieces.push_back(std::move(score.token.piece));
            if (update.finished) {
                reading_.n_tokens = update.finished->usage.prompt_tokens;
                reading_.tokens = std::move(update.finished->tokens);
            }
        }
        co_return Result<void>{};
    }

  private:
    Reading& reading_;
};

asio::awaitable<Result<Reading>> read_it(Context& context, Caller caller, std::string model, GenerationRequest request,
                                         OpenRequest& open) {
    log_prompt(context, caller, request);
    if (auto complete = complete_request(caller, request); !complete) {
        co_return std::unexpected(std::move(complete.error()));
    }
    const Result<models::Lease> lease = co_await lease_model(context, std::move(caller), std::move(model), {});
    if (!lease) co_return std::unexpected(lease.error());
    open.leased(*lease);
    if (auto settled = settle(context, *lease, request); !settled) {
        co_return std::unexpected(std::move(settled.error()));
    }
    Reading reading;
    reading.model = lease->model();
    std::vector<GenerationRequest> requests;
    requests.push_back(std::move(request));
    Generations generations(lease->generator(), std::move(requests), 1);
    ReadingKeeper keeper(reading);
    if (auto done = co_await read_all(generations, keeper, open); !done)
        co_return std::unexpected(std::move(done.error()));
    co_return reading;
}

}  // namespace

asio::awaitable<Result<Reading>> read_prompt(Context& context, Caller caller, std::string model,
                                             GenerationRequest request) {
    OpenRequest open(context.requests, caller, model, request, 1);
    Result<Reading> reading = co_await read_it(context, std::move(caller), std::move(model), std::move(request), open);
    open.end(reading);
    co_return reading;
}

}  // namespace sutazai::serve
