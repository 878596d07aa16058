#include <fmt/format.h>

#include <chrono>
#include <random>

#include "api/openai.h"
#include "http/chat.h"
#include "http/routes.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

std::string new_completion_id() {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    return fmt::format("chatcmpl-{:016x}", random());
}

class OpenAiFormat final : public ChatFormat {
  public:
    OpenAiFormat(api::openai::Identity identity, bool include_usage)
        : identity_(std::move(identity)), encoder_(identity_, include_usage) {}

    void start(std::string& out) override { encoder_.start(out); }

    void update(std::string& out, const GenerationUpdate& update) override {
        if (!update.text.empty()) encoder_.content(out, update.text);
        if (update.error) encoder_.error(out, *update.error);
        if (update.finished) encoder_.finish(out, *update.finished);
    }

    std::string answer(std::string_view content, const Finished& finished) override {
        return api::openai::encode_answer(identity_, content, finished);
    }

  private:
    api::openai::Identity identity_;
    api::openai::ChunkEncoder encoder_;
};

api::openai::ModelCard card_of(const catalog::ModelFile& file) {
    return {file.name, file.modified_unix_s};
}

}  // namespace

asio::awaitable<Result<void>> post_chat_completions(Services& services, Exchange& exchange) {
    auto request = api::openai::parse_chat(exchange.request().body);
    if (!request) co_return std::unexpected(request.error());
    const bool include_usage = request->include_usage;
    co_return co_await run_chat(services, exchange, std::move(*request), [include_usage](std::string model) {
        const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
        return std::make_unique<OpenAiFormat>(api::openai::Identity{new_completion_id(), std::move(model), now},
                                              include_usage);
    });
}

asio::awaitable<Result<void>> get_models(Services& services, Exchange& exchange) {
    std::vector<api::openai::ModelCard> cards;
    for (const catalog::ModelFile& file : services.catalog.list()) cards.push_back(card_of(file));
    co_return co_await exchange.send_json(200, api::openai::encode_models(cards));
}

asio::awaitable<Result<void>> get_model(Services& services, Exchange& exchange) {
    const auto file = services.catalog.find(exchange.parameter);
    if (!file) {
        // A name that no model can have is for the reader of a URL just one that does not exist.
        co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    }
    co_return co_await exchange.send_json(200, api::openai::encode_model(card_of(*file)));
}

}  // namespace sutazai::http
