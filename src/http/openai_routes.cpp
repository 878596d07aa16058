#include <fmt/format.h>

#include <chrono>
#include <random>

#include "api/openai.h"
#include "api/openai_completions.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/heavy.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

api::openai::Identity new_identity(std::string_view prefix, std::string model) {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return {fmt::format("{}-{:016x}", prefix, random()), std::move(model), now};
}

class ChatFormat final : public AnswerFormat {
  public:
    ChatFormat(api::openai::Identity identity, std::size_t n, bool include_usage, bool logprobs)
        : identity_(std::move(identity)), n_(n), logprobs_(logprobs), encoder_(identity_, include_usage, logprobs) {}

    void start(std::string& out) override {
        for (std::size_t index = 0; index < n_; ++index) encoder_.start(out, index);
    }

    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        if (!update.text.empty() || !update.scores.empty()) encoder_.content(out, index, update.text, update.scores);
        if (update.error) api::openai::append_error_event(out, *update.error);
        if (update.finished) encoder_.finish(out, index, update.finished->reason);
    }

    void end(std::string& out, const std::vector<Usage>& usages) override {
        encoder_.end(out, api::total_usage(usages, usages.size()));
    }

    std::string answer(const std::vector<api::Choice>& choices) override {
        return api::openai::encode_answer(identity_, choices, logprobs_);
    }

  private:
    api::openai::Identity identity_;
    std::size_t n_;
    bool logprobs_;
    api::openai::ChunkEncoder encoder_;
};

class CompletionFormat final : public AnswerFormat {
  public:
    /// `request` is the parsed body.
    CompletionFormat(api::openai::Identity identity, api::openai::CompletionRequest request)
        : identity_(std::move(identity)),
          request_(std::move(request)),
          encoder_(identity_, request_.include_usage, request_.logprobs,
                   request_.n_prompts * static_cast<std::size_t>(request_.best_of)) {}

    void start(std::string& /*out*/) override {}

    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        if (!update.text.empty() || !update.scores.empty()) encoder_.content(out, index, update.text, update.scores);
        if (update.error) api::openai::append_error_event(out, *update.error);
        if (update.finished) encoder_.finish(out, index, update.finished->reason);
    }

    void end(std::string& out, const std::vector<Usage>& usages) override {
        encoder_.end(out, api::total_usage(usages, static_cast<std::size_t>(request_.best_of)));
    }

    std::string answer(const std::vector<api::Choice>& choices) override {
        return api::openai::encode_completion(identity_, request_, choices);
    }

    Error explain(Error error, std::size_t index) override {
        if (error.field == "prompt" && request_.n_prompts > 1) {
            error.field = fmt::format("prompt[{}]", index / static_cast<std::size_t>(request_.best_of));
        }
        return error;
    }

  private:
    api::openai::Identity identity_;
    api::openai::CompletionRequest request_;
    api::openai::CompletionChunkEncoder encoder_;
};

api::openai::ModelCard card_of(const catalog::ModelFile& file) {
    return {file.name, file.modified_unix_s};
}

}  // namespace

asio::awaitable<Result<void>> post_chat_completions(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, api::openai::parse_chat);
    if (!request) co_return std::unexpected(request.error());
    const auto n = static_cast<std::size_t>(request->n);
    const bool include_usage = request->include_usage;
    const bool logprobs = request->generation.top_logprobs >= 0;
    request->generation.n = request->n;
    AnswerRequest answer{std::move(request->model), request->stream, {}, request->keep_alive};
    answer.generations.push_back(std::move(request->generation));
    co_return co_await run_answer(services, exchange, std::move(answer), [=](std::string model) {
        return std::make_unique<ChatFormat>(new_identity("chatcmpl", std::move(model)), n, include_usage, logprobs);
    });
}

asio::awaitable<Result<void>> post_completions(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return api::openai::parse_completion(body, most);
    };
    auto request = co_await parse_body(services, exchange, parse);
    if (!request) co_return std::unexpected(request.error());
    AnswerRequest answer{request->model, request->stream, request->take_generations(), request->keep_alive};
    // Made before the co_await: g++ 12 destroys a closure twice that is made within it.
    FormatMaker make_format = [parsed = std::move(*request)](std::string model) mutable {
        return std::make_unique<CompletionFormat>(new_identity("cmpl", std::move(model)), std::move(parsed));
    };
    co_return co_await run_answer(services, exchange, std::move(answer), std::move(make_format));
}

asio::awaitable<Result<void>> get_models(Services& services, Exchange& exchange) {
    co_await services.models.catch_up();
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
    co_await services.models.catch_up();
    const auto file = services.catalog.find(exchange.parameter);
    if (!file) {
        // A name that no model can have is for the reader of a URL just one that does not exist.
        co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    }
    co_return co_await exchange.send_json(200, api::openai::encode_model(card_of(*file)));
}

}  // namespace sutazai::http
