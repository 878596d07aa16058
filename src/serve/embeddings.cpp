#include "serve/embeddings.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "api/vectors.h"
#include "serve/admission.h"
#include "serve/heavy.h"
#include "serve/model_defaults.h"
#include "serve/read_all.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

class VectorKeeper final : public Listener {
  public:
    /// One vector for each input is there already.
    VectorKeeper(Embeddings& embeddings, const char* field) : embeddings_(embeddings), field_(field) {}

    /// The engine calls every input a prompt.
    Error explain(Error error, std::size_t index) override {
        const bool alone = embeddings_.vectors.size() == 1;
        if (error.field == "prompt") error.field = alone ? field_ : fmt::format("{}[{}]", field_, index);
        return error;
    }

    asio::awaitable<Result<void>> take(std::span<Generations::Event> events, bool /*last*/) override {
        for (auto& [index, update] : events) {
            if (update.error) co_return std::unexpected(std::move(*update.error));
            if (!update.embedding.empty()) embeddings_.vectors.at(index) = std::move(update.embedding);
            if (update.finished) embeddings_.prompt_tokens += update.finished->usage.prompt_tokens;
        }
        co_return Result<void>{};
    }

  private:
    Embeddings& embeddings_;
    std::string field_;
};

}  // namespace

namespace {

asio::awaitable<Result<Embeddings>> embed_it(Context& context, Caller caller, EmbedRequest request, OpenRequest& open) {
    for (GenerationRequest& input : request.inputs) {
        log_prompt(context, caller, input);
        if (auto complete = complete_request(caller, input); !complete) {
            co_return std::unexpected(std::move(complete.error()));
        }
    }
    const Result<models::Lease> lease =
        co_await lease_model(context, std::move(caller), std::move(request.model), request.keep_alive);
    if (!lease) co_return std::unexpected(lease.error());
    open.leased(*lease);
    for (GenerationRequest& input : request.inputs) {
        if (lease->is_remote()) break;
        if (auto chosen = choose_adapters(lease->profile(), input); !chosen) {
            co_return std::unexpected(std::move(chosen.error()));
        }
    }
    Embeddings embeddings;
    embeddings.model = lease->model();
    embeddings.warm_at = std::chrono::steady_clock::now();
    embeddings.vectors.resize(request.inputs.size());
    Generations generations(lease->generator(), std::move(request.inputs), generations_at_once(context.settings));
    VectorKeeper keeper(embeddings, request.field);
    if (auto done = co_await read_all(generations, keeper, open); !done)
        co_return std::unexpected(std::move(done.error()));
    co_return embeddings;
}

}  // namespace

asio::awaitable<Result<Embeddings>> embed(Context& context, Caller caller, EmbedRequest request) {
    const Foreground::Hold waited_for(context.foreground, caller);
    OpenRequest open(context.requests, caller, request.model, request.inputs.front(),
                     Generations::count(request.inputs));
    Result<Embeddings> embeddings = co_await embed_it(context, std::move(caller), std::move(request), open);
    open.end(embeddings);
    co_return embeddings;
}

asio::awaitable<Result<std::string>> openai_embeddings(Context& context, Caller caller,
                                                       api::openai::EmbeddingsRequest request) {
    EmbedRequest asked{std::move(request.model), request.keep_alive, request.generations()};
    request.inputs = {};
    auto embeddings = co_await embed(context, std::move(caller), std::move(asked));
    if (!embeddings) co_return std::unexpected(std::move(embeddings.error()));

    constexpr std::size_t kNumberBytes = 12;  // of JSON
    const std::size_t bytes = embeddings->vectors.size() * embeddings->vectors.front().size() * kNumberBytes;
    auto encode = [made = std::move(*embeddings), dimensions = request.dimensions,
                   base64 = request.base64]() mutable -> Result<std::string> {
        for (std::vector<float>& vector : made.vectors) {
            if (auto done = api::shorten(vector, dimensions); !done) return std::unexpected(done.error());
        }
        return api::openai::encode_embeddings(made.model, made.vectors, base64, made.prompt_tokens);
    };
    co_return co_await run_by_size(context.pool, bytes, encode);
}

}  // namespace sutazai::serve
