#include "http/answer.h"

#include <string>
#include <utility>

#include "http/stream_sink.h"

namespace sutazai::http {

namespace asio = boost::asio;

asio::awaitable<Result<void>> send_answer(Services& services, Exchange& exchange, serve::AnswerRequest request) {
    if (request.stream) {
        StreamSink writer(exchange, exchange.family == Family::kOllama ? kNdjson : kServerSentEvents);
        co_return co_await serve::stream_answer(services, exchange.caller, std::move(request), writer);
    }
    const Result<std::string> body = co_await serve::whole_answer(services, exchange.caller, std::move(request));
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

}  // namespace sutazai::http
