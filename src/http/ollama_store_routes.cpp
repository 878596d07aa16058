#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api/ollama_create.h"
#include "api/ollama_progress.h"
#include "fetch/pull_base.h"
#include "http/body.h"
#include "http/gate.h"
#include "http/job_answer.h"
#include "http/routes.h"
#include "ipc/run_blocking.h"
#include "serve/warm_orders.h"
#include "store/create.h"
#include "store/quantise.h"

/// Models that are made and removed by name, in the store that is written to
/// (docs/decisions/0031-a-store-of-its-own.md).
namespace sutazai::http {

namespace asio = boost::asio;

namespace {

namespace ollama = api::ollama;

/// Between two visits to the disk.
constexpr std::size_t kPieceBytes = 1 << 20;

store::ModelStore store_of(const Services& services) {
    return store::ModelStore(services.catalog.sources().model_store);
}

struct Asked {
    ollama::CreateBody body;
    std::string digest;  ///< of its text
};
Result<Asked> parse_create(std::string_view text) {
    auto body = ollama::parse_create(text);
    if (!body) return std::unexpected(std::move(body.error()));
    return Asked{std::move(*body), to_hex(Bytes(sha256(std::as_bytes(std::span(text)))))};
}

/// kNotFound as Ollama's clients know it.
Result<catalog::ModelFile> find(const Services& services, const std::string& name, const std::string& field) {
    auto file = services.catalog.find(name);
    if (!file) file.error().field = field;
    return file;
}

asio::awaitable<Result<void>> write_piece(Services& services, std::shared_ptr<store::BlobWriter> writer,
                                          std::string piece) {
    auto write = [writer = std::move(writer), piece = std::move(piece)] { return writer->add(piece); };
    co_return co_await ipc::run_blocking(services.pool, write);
}

/// The whole body, to the disk; null for `writer`: nowhere.
asio::awaitable<Result<void>> take_body(Services& services, Exchange& exchange,
                                        std::shared_ptr<store::BlobWriter> writer) {
    std::string gathered;
    for (bool more = true; more;) {
        const Result<HeldBody> piece = co_await exchange.incoming->read();
        if (!piece) co_return std::unexpected(piece.error());
        more = !piece->text().empty();
        if (writer == nullptr) continue;
        gathered += piece->text();
        if (gathered.empty() || (more && gathered.size() < kPieceBytes)) continue;
        auto written = co_await write_piece(services, writer, std::exchange(gathered, {}));
        if (!written) co_return written;
    }
    co_return Result<void>{};
}

}  // namespace

asio::awaitable<Result<void>> post_ollama_blob(Services& services, Exchange& exchange) {
    if (auto allowed = require_admin(services, exchange, "Sending files", "digest"); !allowed) co_return allowed;
    const auto digest = store::parse_digest(exchange.parameter);
    if (!digest) {
        co_return fail(ErrorCode::kInvalidArgument, "invalid digest: it is sha256: and 64 hex digits", "digest");
    }
    if (!exchange.request().content_encoding.empty()) {
        co_return fail(ErrorCode::kUnsupportedMedia, "A file is sent as it is, without Content-Encoding.",
                       "Content-Encoding");
    }
    const store::ModelStore store = store_of(services);
    if (store.has_blob(*digest)) {
        // Who sends it all the same is let finish: most clients hear nothing before.
        auto read = co_await take_body(services, exchange, nullptr);
        if (!read) co_return read;
        co_return co_await exchange.send(200, "", "");
    }
    auto create = [store] { return store.new_blob(); };
    auto created = co_await ipc::run_blocking(services.pool, create);
    if (!created) co_return std::unexpected(std::move(created.error()));
    const auto writer = std::make_shared<store::BlobWriter>(std::move(*created));
    auto read = co_await take_body(services, exchange, writer);
    if (!read) co_return read;
    auto commit = [writer, wanted = *digest]() -> Result<void> {
        const auto stored = writer->commit(wanted);
        if (!stored) return std::unexpected(stored.error());
        return {};
    };
    auto committed = co_await ipc::run_blocking(services.pool, commit);
    if (!committed) co_return committed;
    co_return co_await exchange.send(201, "", "");
}

asio::awaitable<Result<void>> head_ollama_blob(Services& services, Exchange& exchange) {
    if (auto allowed = require_admin(services, exchange, "Asking for files", "digest"); !allowed) co_return allowed;
    const auto digest = store::parse_digest(exchange.parameter);
    if (!digest) co_return fail(ErrorCode::kInvalidArgument, "invalid digest", "digest");
    const unsigned status = store_of(services).has_blob(*digest) ? 200 : 404;
    co_return co_await exchange.send(status, "", "");
}

asio::awaitable<Result<void>> post_ollama_create(Services& services, Exchange& exchange) {
    if (auto allowed = require_admin(services, exchange, "create", "model"); !allowed) co_return allowed;
    auto asked = co_await parse_body(services, exchange, parse_create);
    if (!asked) co_return std::unexpected(std::move(asked.error()));
    ollama::CreateBody* const body = &asked->body;
    auto name = store::new_model_name(body->model, "model");
    if (!name) co_return std::unexpected(std::move(name.error()));
    co_await services.models.catch_up();
    if (auto free = store::check_name_is_free(services.catalog, *name, "model"); !free) co_return free;
    std::optional<catalog::ModelFile> from;
    std::optional<fetch::MissingBase> missing;
    if (!body->recipe.from.empty()) {
        auto found = find(services, body->recipe.from, "from");
        if (found) {
            from = std::move(*found);
        } else {
            auto elsewhere = fetch::missing_base(services.settings, body->recipe.from, std::move(found.error()));
            if (!elsewhere) co_return std::unexpected(std::move(elsewhere.error()));
            missing = std::move(*elsewhere);
        }
    }
    // Two that want the same thing share the work.
    std::string key = "create " + name->key() + " " + asked->digest;
    serve::Jobs::Work work = [store = store_of(services), name = std::move(*name), recipe = std::move(body->recipe),
                              from = std::move(from), missing = std::move(missing),
                              sources = services.catalog.sources(), threads = services.settings.threads](
                                 const std::stop_token& stop, const ProgressSink& tell) -> Result<void> {
        std::optional<store::BaseModel> base;
        if (from) {
            auto found = store::base_model(*from, sources);
            if (!found) return std::unexpected(std::move(found.error()));
            base = std::move(*found);
        } else if (missing) {
            auto pulled = fetch::pull_base(*missing, stop, tell);
            if (!pulled) return std::unexpected(std::move(pulled.error()));
            base = std::move(*pulled);
        }
        return store::create_model(store, name, recipe, base, store::quantiser_process(threads), {stop, tell});
    };
    co_return co_await send_job(services, exchange, std::move(key), std::move(work), body->stream);
}

asio::awaitable<Result<void>> post_ollama_copy(Services& services, Exchange& exchange) {
    if (auto allowed = require_admin(services, exchange, "copy", "source"); !allowed) co_return allowed;
    auto body = co_await parse_body(services, exchange, ollama::parse_copy);
    if (!body) co_return std::unexpected(std::move(body.error()));
    auto name = store::new_model_name(body->destination, "destination");
    if (!name) co_return std::unexpected(std::move(name.error()));
    co_await services.models.catch_up();
    if (auto free = store::check_name_is_free(services.catalog, *name, "destination"); !free) co_return free;
    auto from = find(services, body->source, "source");
    if (!from) co_return std::unexpected(std::move(from.error()));
    std::string key = "copy " + from->name + " " + name->key();
    serve::Jobs::Work work = [store = store_of(services), name = std::move(*name), from = std::move(*from),
                              sources = services.catalog.sources()](const std::stop_token& stop,
                                                                    const ProgressSink& tell) -> Result<void> {
        const auto base = store::model_to_copy(from, sources);
        if (!base) return std::unexpected(base.error());
        return store::copy_model(store, *base, name, {stop, tell});
    };
    auto done = co_await run_job(services, std::move(key), std::move(work));
    if (!done) co_return done;
    co_return co_await exchange.send(200, "", "");
}

asio::awaitable<Result<void>> delete_ollama_model(Services& services, Exchange& exchange) {
    if (auto allowed = require_admin(services, exchange, "delete", "model"); !allowed) co_return allowed;
    auto name = co_await parse_body(services, exchange, ollama::parse_delete);
    if (!name) co_return std::unexpected(std::move(name.error()));
    co_await services.models.catch_up();
    std::optional<catalog::ModelFile> there;
    if (const auto* holder = services.catalog.holder(*name)) there = *holder;
    std::string key = "delete " + *name;
    serve::Jobs::Work work = [store = store_of(services), name = *name, there](const std::stop_token&,
                                                                               const ProgressSink&) -> Result<void> {
        return store::remove_model(store, name, there);
    };
    auto done = co_await run_job(services, std::move(key), std::move(work));
    if (!done) co_return done;
    co_return co_await exchange.send(200, "", "");
}

}  // namespace sutazai::http
