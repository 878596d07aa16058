#include "http/chat.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>

#include "http/sse_writer.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// A stream's head waits this long for the first update, so that a refusal (queue full, prompt too long) becomes a
/// status rather than an event. A prompt that takes longer to prefill gets its start event meanwhile.
constexpr std::chrono::milliseconds kGrace{20};

asio::awaitable<std::optional<GenerationUpdate>> next_within(ipc::TokenStream& stream,
                                                             std::chrono::milliseconds grace) {
    using namespace asio::experimental::awaitable_operators;  // NOLINT(google-build-using-namespace): operator||
    asio::steady_timer timer(co_await asio::this_coro::executor, grace);
    // ready() rather than next(): an update that arrives together with the time-out must not be lost with the loser.
    co_await (stream.ready() || timer.async_wait(asio::use_awaitable));
    if (!stream.has_update()) co_return std::nullopt;
    co_return co_await stream.next();
}

/// Ends with how the generation ended; kCancelled when the client took it no longer.
asio::awaitable<Result<void>> answer_as_stream(ipc::TokenStream& stream, Exchange& exchange, ChatFormat& format) {
    std::optional<GenerationUpdate> update = co_await next_within(stream, kGrace);
    if (update && update->error) co_return std::unexpected(std::move(*update->error));
    SseWriter writer(exchange);
    format.start(writer.buffer());
    if (!update) {
        if (auto sent = co_await writer.flush(); !sent) co_return sent;
        update = co_await stream.next();
    }
    while (true) {
        const std::size_t before = writer.buffer().size();
        format.update(writer.buffer(), *update);
        if (update->last()) break;
        if (writer.buffer().size() > before) {
            if (auto sent = co_await writer.flush(); !sent) co_return sent;
        }
        update = co_await stream.next();
    }
    auto sent = co_await writer.finish();
    if (sent && update->error) co_return std::unexpected(std::move(*update->error));
    co_return sent;
}

asio::awaitable<Result<void>> answer_whole(ipc::TokenStream& stream, Exchange& exchange, ChatFormat& format) {
    std::string content;
    while (true) {
        GenerationUpdate update = co_await stream.next();
        content += update.text;
        if (update.error) co_return std::unexpected(std::move(*update.error));
        if (update.finished) {
            co_return co_await exchange.send_json(200, format.answer(content, *update.finished));
        }
    }
}

void cap_max_tokens(const config::Settings& settings, int& max_tokens) {
    const auto limit = static_cast<std::int64_t>(settings.max_tokens_limit);
    if (limit > 0 && (max_tokens < 0 || max_tokens > limit)) max_tokens = static_cast<int>(limit);
}

}  // namespace

asio::awaitable<Result<void>> run_chat(Services& services, Exchange& exchange, api::ChatRequest request,
                                       ChatFormatMaker make_format) {
    const auto arrived = std::chrono::steady_clock::now();
    if (request.stream && !services.settings.streaming_enabled) {
        co_return fail(ErrorCode::kForbidden,
                       "Streaming is switched off (STREAMING_ENABLED=false); send \"stream\": false.", "stream");
    }
    exchange.request().body = {};  // parsed; a generation may run for minutes
    request.generation.cache_salt = exchange.tenant;
    cap_max_tokens(services.settings, request.generation.max_tokens);
    if (request.model.empty()) request.model = services.catalog.default_model();
    if (request.model.empty()) {
        co_return fail(ErrorCode::kNotFound, "This server has no default model; name one in \"model\".", "model");
    }
    Result<models::Lease> lease = co_await services.models.acquire(std::move(request.model), request.keep_alive);
    if (!lease) {
        Error error = lease.error();
        const bool wrong_name = error.code == ErrorCode::kNotFound || error.code == ErrorCode::kInvalidArgument;
        if (wrong_name) error.field = "model";
        co_return std::unexpected(std::move(error));
    }
    const std::unique_ptr<ChatFormat> format = make_format(lease->model());
    ipc::TokenStream stream = lease->engine().submit(std::move(request.generation));
    Result<void> done;
    // Not one conditional expression: g++ 12 destroys the awaitable of the branch that was not taken.
    if (request.stream) {
        done = co_await answer_as_stream(stream, exchange, *format);
    } else {
        done = co_await answer_whole(stream, exchange, *format);
    }
    if (done) services.latencies.record(lease->model(), std::chrono::steady_clock::now() - arrived);
    co_return done;
}

}  // namespace sutazai::http
