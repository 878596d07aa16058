#include <string>
#include <utility>

#include "api/ollama_progress.h"
#include "fetch/options.h"
#include "fetch/pull.h"
#include "fetch/source.h"
#include "http/body.h"
#include "http/gate.h"
#include "http/job_answer.h"
#include "http/routes.h"
#include "store/create.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

using Transfer = Result<void> (*)(const fetch::Options&, const fetch::Request&, const std::stop_token&,
                                  const ProgressSink&);

/// Models are everybody's, and the disk and the network are the server's.
asio::awaitable<Result<void>> transfer(Services& services, Exchange& exchange, Transfer work, std::string_view what) {
    if (auto allowed = require_admin(services, exchange, what, ""); !allowed) co_return allowed;
    auto body = co_await parse_body(services, exchange, api::ollama::parse_transfer);
    if (!body) co_return std::unexpected(body.error());
    auto source = fetch::parse_source(body->model);
    if (!source) co_return std::unexpected(std::move(source.error()));
    if (work == fetch::pull) {
        co_await services.models.catch_up();
        if (auto free = store::check_name_is_free(services.catalog, source->name, "model"); !free) co_return free;
    }
    auto options = fetch::make_options(services.settings, fetch::network_environment());
    if (!options) co_return std::unexpected(std::move(options.error()));
    // Those who ask for the same share the work.
    std::string key(what);
    key += body->insecure ? " http " : " ";
    key += source->kind == fetch::Source::Kind::kFile ? source->url.text() : source->name.key();
    const bool stream = body->stream;
    fetch::Request request{.model = std::move(body->model), .insecure = body->insecure};
    serve::Jobs::Work job = [work, options = std::move(*options), request = std::move(request)](
                                const std::stop_token& stop, const ProgressSink& tell) {
        return work(options, request, stop, tell);
    };
    co_return co_await send_job(services, exchange, std::move(key), std::move(job), stream);
}

}  // namespace

asio::awaitable<Result<void>> post_ollama_pull(Services& services, Exchange& exchange) {
    co_return co_await transfer(services, exchange, fetch::pull, "pull");
}

asio::awaitable<Result<void>> post_ollama_push(Services& services, Exchange& exchange) {
    co_return co_await transfer(services, exchange, fetch::push, "push");
}

}  // namespace sutazai::http
