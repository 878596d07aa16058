#include "http/answer.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "http/gate.h"
#include "http/sse_writer.h"
#include "serve/generations.h"
#include "serve/heavy.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// A stream's head waits this long for the first update, so that a refusal (queue full, prompt too long) becomes a
/// status rather than an event. A prompt that takes longer to prefill gets its start event meanwhile.
constexpr std::chrono::milliseconds kGrace{20};

/// Empty when nothing has come by then.
asio::awaitable<std::vector<serve::Generations::Event>> next_within(serve::Generations& generations,
                                                                    std::chrono::milliseconds grace) {
    using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace): operator||
    asio::steady_timer timer(co_await asio::this_coro::executor, grace);
    // ready() rather than next(): an update that arrives together with the time-out must not be lost with the loser.
    co_await (generations.ready() || timer.async_wait(asio::use_awaitable));
    if (!generations.has_events()) co_return std::vector<serve::Generations::Event>{};
    co_return co_await generations.next();
}

/// Of the JSON that tells of them, roughly.
std::size_t json_bytes(const std::vector<TokenScore>& scores) {
    constexpr std::size_t kChance = 60;
    return scores.empty() ? 0 : scores.size() * kChance * (1 + scores.front().top.size());
}

/// Of a long prompt that is echoed with scores, for example. Of the update its end is left.
asio::awaitable<Result<void>> append_heavy_update(Services& services, SseWriter& writer,
                                                  std::shared_ptr<AnswerFormat> format,
                                                  serve::Generations::Event& event, std::size_t bytes) {
    GenerationUpdate end;
    end.finished = event.update.finished;
    end.error = event.update.error;
    auto encode = [format, index = event.index, update = std::exchange(event.update, std::move(end))] {
        std::string out;
        format->update(out, index, update);
        return out;
    };
    const Result<std::string> text = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!text) co_return std::unexpected(text.error());
    writer.buffer() += *text;
    co_return Result<void>{};
}

/// Ends with how the generations ended; kCancelled when the client took it no longer.
asio::awaitable<Result<void>> answer_as_stream(Services& services, serve::Generations& generations, std::size_t n,
                                               Exchange& exchange, std::shared_ptr<AnswerFormat> format) {
    std::vector<serve::Generations::Event> events = co_await next_within(generations, kGrace);
    for (serve::Generations::Event& event : events) {
        if (event.update.error) {
            co_return std::unexpected(format->explain(std::move(*event.update.error), event.index));
        }
    }
    SseWriter writer(exchange);
    format->start(writer.buffer());
    if (events.empty()) {
        if (auto sent = co_await writer.flush(); !sent) co_return sent;
        events = co_await generations.next();
    }
    std::vector<Usage> usages(n);
    while (!events.empty()) {
        const std::size_t before = writer.buffer().size();
        for (serve::Generations::Event& event : events) {
            if (event.update.error) event.update.error = format->explain(std::move(*event.update.error), event.index);
            if (const std::size_t bytes = json_bytes(event.update.scores); bytes <= serve::kLightBytes) {
                format->update(writer.buffer(), event.index, event.update);
            } else if (auto sent = co_await append_heavy_update(services, writer, format, event, bytes); !sent) {
                co_return sent;
            }
            if (event.update.finished) usages.at(event.index) = event.update.finished->usage;
            if (event.update.error) {
                if (auto sent = co_await writer.finish(); !sent) co_return sent;
                co_return std::unexpected(std::move(*event.update.error));
            }
        }
        if (generations.ended()) break;
        if (writer.buffer().size() > before) {
            if (auto sent = co_await writer.flush(); !sent) co_return sent;
        }
        events = co_await generations.next();
    }
    format->end(writer.buffer(), usages);
    co_return co_await writer.finish();
}

asio::awaitable<Result<void>> answer_whole(Services& services, serve::Generations& generations, std::size_t n,
                                           Exchange& exchange, std::shared_ptr<AnswerFormat> format) {
    std::vector<api::Choice> choices(n);
    for (auto events = co_await generations.next(); !events.empty(); events = co_await generations.next()) {
        for (serve::Generations::Event& event : events) {
            api::Choice& choice = choices.at(event.index);
            GenerationUpdate& update = event.update;
            choice.text += update.text;
            std::ranges::move(update.scores, std::back_inserter(choice.scores));
            if (update.error) co_return std::unexpected(format->explain(std::move(*update.error), event.index));
            if (update.finished) choice.finished = *update.finished;
        }
    }
    std::size_t bytes = 0;
    for (const api::Choice& choice : choices) bytes += choice.text.size() + json_bytes(choice.scores);
    auto encode = [format, all = std::move(choices)] { return format->answer(all); };
    const Result<std::string> body = co_await serve::run_by_size(services.pool, bytes, encode);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

}  // namespace

Result<void> complete_request(const Services& services, const Exchange& exchange, GenerationRequest& request,
                              std::string_view path) {
    if (auto allowed = serve::check_priority(exchange.caller, request.priority, path); !allowed) return allowed;
    request.cache_salt = exchange.caller.tenant;
    const auto limit = static_cast<std::int64_t>(services.settings.max_tokens_limit);
    if (limit > 0 && (request.max_tokens < 0 || request.max_tokens > limit)) {
        request.max_tokens = static_cast<int>(limit);
    }
    return {};
}

std::size_t generations_at_once(const config::Settings& settings) {
    return 2 * std::size_t{std::max(settings.batch_size, settings.batch_size_max)};
}

asio::awaitable<Result<models::Lease>> lease_model(Services& services, const Exchange& exchange, std::string model,
                                                   std::optional<KeepAlive> keep_alive) {
    if (auto allowed = serve::check_keep_alive(services.settings, exchange.caller, keep_alive); !allowed) {
        co_return std::unexpected(std::move(allowed.error()));
    }
    if (model.empty()) model = services.catalog.default_model();
    if (model.empty()) {
        co_return fail(ErrorCode::kNotFound, "This server has no default model; name one in \"model\".", "model");
    }
    Result<models::Lease> lease = co_await services.models.acquire(std::move(model), keep_alive);
    if (!lease) {
        const ErrorCode code = lease.error().code;
        const bool wrong_name = code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument;
        if (wrong_name) lease.error().field = "model";
    }
    co_return lease;
}

asio::awaitable<Result<void>> run_answer(Services& services, Exchange& exchange, AnswerRequest request,
                                         FormatMaker make_format) {
    const auto arrived = std::chrono::steady_clock::now();
    if (request.stream && !services.settings.streaming_enabled) {
        co_return fail(ErrorCode::kForbidden,
                       "Streaming is switched off (STREAMING_ENABLED=false); send \"stream\": false.", "stream");
    }
    for (GenerationRequest& one : request.generations) {
        if (auto complete = complete_request(services, exchange, one); !complete) co_return complete;
    }
    Result<models::Lease> lease =
        co_await lease_model(services, exchange, std::move(request.model), request.keep_alive);
    if (!lease) co_return std::unexpected(std::move(lease.error()));
    const std::shared_ptr<AnswerFormat> format = make_format(lease->model());
    const std::size_t n = serve::Generations::count(request.generations);
    serve::Generations generations(lease->engine(), std::move(request.generations),
                                   generations_at_once(services.settings));
    Result<void> done;
    // Not one conditional expression: g++ 12 destroys the awaitable of the branch that was not taken.
    if (request.stream) {
        done = co_await answer_as_stream(services, generations, n, exchange, format);
    } else {
        done = co_await answer_whole(services, generations, n, exchange, format);
    }
    if (done) services.latencies.record(lease->model(), std::chrono::steady_clock::now() - arrived);
    co_return done;
}

}  // namespace sutazai::http
