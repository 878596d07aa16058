#include "http/job_answer.h"

#include <string>
#include <utility>
#include <vector>

#include "api/ollama_progress.h"
#include "http/stream_sink.h"

namespace sutazai::http {

namespace asio = boost::asio;
namespace ollama = api::ollama;

asio::awaitable<Result<void>> run_job(Services& services, std::string key, serve::Jobs::Work work) {
    auto watch = co_await services.jobs.watch(std::move(key), std::move(work));
    if (!watch) co_return std::unexpected(std::move(watch.error()));
    for (bool runs = true; runs;) runs = !(co_await watch->next()).empty();
    Result<void> result = *watch->result();
    if (result) co_await services.models.look_again();
    co_return result;
}

asio::awaitable<Result<void>> send_job(Services& services, Exchange& exchange, std::string key, serve::Jobs::Work work,
                                       bool stream) {
    if (!stream) {
        auto done = co_await run_job(services, std::move(key), std::move(work));
        if (!done) co_return done;
        co_return co_await exchange.send_json(200, ollama::kSuccess);
    }
    auto watch = co_await services.jobs.watch(std::move(key), std::move(work));
    if (!watch) co_return std::unexpected(std::move(watch.error()));
    StreamSink sink(exchange, kNdjson);
    for (;;) {
        const std::vector<WorkProgress> news = co_await watch->next();
        const bool failed = watch->result() && !*watch->result();
        if (news.empty() || (failed && !exchange.answered())) break;  // what fails at once gets a status
        for (const WorkProgress& one : news) ollama::append_progress(sink.buffer(), one);
        if (auto sent = co_await sink.flush(); !sent) co_return sent;
    }
    const Result<void> result = *watch->result();
    if (!result && !exchange.answered()) co_return result;
    if (result) {
        co_await services.models.look_again();
        ollama::append_success(sink.buffer());
    } else {
        ollama::append_error(sink.buffer(), result.error());
    }
    co_return co_await sink.finish();
}

}  // namespace sutazai::http
