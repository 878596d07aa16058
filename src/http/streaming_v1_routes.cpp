#include "api/streaming_v1.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "status/status_json.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

using api::streaming_v1::Clock;

class StreamingV1Format final : public AnswerFormat {
  public:
    explicit StreamingV1Format(std::string model) : model_(model), encoder_(std::move(model)) {}

    void start(std::string& out) override { encoder_.start(out, Clock::now()); }

    void update(std::string& out, std::size_t /*index*/, const GenerationUpdate& update) override {
        if (update.error) {
            if (!update.text.empty()) encoder_.chunk(out, update.text, false);
            encoder_.error(out, *update.error);
        } else if (update.finished) {
            encoder_.chunk(out, update.text, true);
            encoder_.complete(out, Clock::now(), *update.finished);
        } else if (!update.text.empty()) {
            encoder_.chunk(out, update.text, false);
        }
    }

    std::string answer(const std::vector<api::Choice>& choices) override {
        const api::Choice& choice = choices.front();
        return api::streaming_v1::encode_answer(model_, choice.text, choice.finished, Clock::now());
    }

  private:
    std::string model_;
    api::streaming_v1::EventEncoder encoder_;
};

}  // namespace

asio::awaitable<Result<void>> post_chat_stream(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, api::streaming_v1::parse_chat);
    if (!request) co_return std::unexpected(request.error());
    AnswerRequest answer{std::move(request->model), request->stream, {}, request->keep_alive};
    answer.generations.push_back(std::move(request->generation));
    co_return co_await run_answer(services, exchange, std::move(answer), [](std::string model) {
        return std::make_unique<StreamingV1Format>(std::move(model));
    });
}

asio::awaitable<Result<void>> get_performance_metrics(Services& services, Exchange& exchange) {
    if (!services.settings.performance_monitoring) {
        co_return fail(ErrorCode::kForbidden, "Performance metrics are switched off (PERFORMANCE_MONITORING=false).");
    }
    co_return co_await exchange.send_json(200,
                                          status::performance_metrics(services.models.status(), services.latencies));
}

asio::awaitable<Result<void>> get_advanced_health(Services& services, Exchange& exchange) {
    const auto models = services.models.status();
    const unsigned status = status::health_of(models) == status::Health::kUnhealthy ? 503 : 200;
    co_return co_await exchange.send_json(status, status::advanced_health(models));
}

}  // namespace sutazai::http
