#include <utility>

#include "api/batch.h"
#include "api/streaming_v1.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/routes.h"
#include "serve/batch.h"
#include "serve/formats.h"

namespace sutazai::http {

namespace asio = boost::asio;

asio::awaitable<Result<void>> post_chat_stream(Services& services, Exchange& exchange) {
    auto request = co_await parse_body(services, exchange, api::streaming_v1::parse_chat);
    if (!request) co_return std::unexpected(request.error());
    serve::AnswerRequest answer = serve::streaming_v1_chat(std::move(*request));
    co_return co_await send_answer(services, exchange, std::move(answer));
}

asio::awaitable<Result<void>> post_batch_process(Services& services, Exchange& exchange) {
    const auto parse = [most = services.settings.max_batch_requests](std::string_view body) {
        return serve::parse_batch(body, most);
    };
    auto job = co_await parse_body(services, exchange, parse);
    if (!job) co_return std::unexpected(job.error());
    auto answer = co_await serve::run_batch(services, exchange.caller, std::move(*job));
    if (!answer) co_return std::unexpected(answer.error());

    constexpr std::size_t kResultBytes = 250;  // of JSON, beside its text
    std::size_t bytes = 0;
    for (const auto& result : answer->results) bytes += kResultBytes + (result ? result->answer.text_bytes() : 0);
    auto encode = [all = std::move(*answer)] {
        return api::batch::encode(all.id, all.model, all.batch_size, all.results);
    };
    co_return co_await send_made(services, exchange, 200, bytes, encode);
}

}  // namespace sutazai::http
