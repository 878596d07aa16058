#include "http/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <list>
#include <unordered_set>

#include "batches/runner.h"
#include "batches/store.h"
#include "http/accept_loop.h"
#include "http/routes.h"
#include "http/session.h"
#include "http/status.h"
#include "spans/exporter.h"

namespace sutazai::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// Connections over the limit that may be told so at one time; beyond them they are just closed.
constexpr std::size_t kMaxRefusals = 64;
/// File descriptors for engines, files and refusals, beside those of connections.
constexpr std::size_t kOtherFiles = 128 + kMaxRefusals;
/// Of the connections that have waited longest, when one is to be closed.
constexpr int kMostLooks = 64;
constexpr std::chrono::seconds kUnwind{2};

/// What a coroutine that nobody waits for ended with, unless it ended well or was cancelled.
void report(const char* what, const std::exception_ptr& thrown) {
    try {
        if (thrown) std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
        if (error.code() != asio::error::operation_aborted) spdlog::error("{} ended: {}", what, error.what());
    } catch (const std::exception& error) {
        spdlog::error("{} ended: {}", what, error.what());
    } catch (...) {
        spdlog::error("{} ended with an exception of no known kind", what);
    }
}

/// MAX_CONNECTIONS, or as many as the process may have descriptors for.
std::size_t places(const config::Settings& settings) {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return settings.max_connections;
    const std::size_t most = files.rlim_cur;
    const std::size_t for_connections = std::max({most / 2, most - std::min(most, kOtherFiles), std::size_t{1}});
    return std::min<std::size_t>(settings.max_connections, for_connections);
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Impl> {
    Impl(asio::io_context& context, const config::Settings& settings, models::AdvancedModelManager& models,
         const catalog::Catalog& catalog, BlockingPool& pool)
        : io(context),
          services{{settings, models, catalog, pool},
                   HostCheck(settings),
                   Auth(settings.api_keys, settings.admin_api_keys),
                   Router(all_routes()),
                   // A compressed body and what it decodes to must fit, when there is nothing else.
                   BodyBudget(std::max(settings.body_memory_bytes, 2 * settings.max_body_bytes)),
                   serve::Jobs(context.get_executor()),
                   places(settings)},
          changed(context) {
        services.responses = std::make_shared<serve::Responses>(services, context.get_executor());
        std::filesystem::path home = settings.home;
        services.batch_store = std::make_shared<batches::Store>(home.empty() ? home : home / "batches");
        services.batch_runner = std::make_shared<batches::Runner>(
            services, services.batch_store, *services.responses,
            [](const Error& error) { return http_status(error.code, Family::kOpenAi); });
        if (settings.otlp_endpoint.empty()) return;
        services.spans =
            std::make_shared<spans::Exporter>(context.get_executor(), pool, settings.otlp_endpoint, SUTAZAI_VERSION);
        services.requests.on_end = [to = services.spans](const serve::RequestRecord& record) { to->add(record); };
    }

    asio::io_context& io;
    Services services;
    std::list<tcp::acceptor> acceptors;
    std::unordered_set<Session*> sessions;  // that have a place
    std::unordered_set<Session*> leaving;   // that have none: refused, or closed to make room
    asio::steady_timer changed;             // cancelled when the last session ends

    Result<std::uint16_t> bind(std::uint16_t port, const char* setting, std::string_view way_out);
    void accept_all();
    void close();
    void start(tcp::socket socket);
    void make_room();
    asio::awaitable<void> wait_until_empty(std::chrono::milliseconds limit);
};

void Server::Impl::start(tcp::socket socket) {
    if (sessions.size() >= services.places) make_room();
    const bool refused = sessions.size() >= services.places;
    if (refused && leaving.size() >= kMaxRefusals) return;
    const auto session = std::make_shared<Session>(std::move(socket), services);
    (refused ? leaving : sessions).insert(session.get());
    const auto ended = [self = shared_from_this(), session](const std::exception_ptr& thrown) {
        self->sessions.erase(session.get());
        self->leaving.erase(session.get());
        if (self->sessions.empty() && self->leaving.empty()) self->changed.cancel();
        report("A session", thrown);
    };
    asio::co_spawn(io, refused ? session->refuse() : session->run(),
                   asio::bind_cancellation_slot(session->slot(), ended));
}

/// Closes the connection that has been without a request for longest, but for those whose request has come and waits
/// for this thread.
void Server::Impl::make_room() {
    int n_looks = 0;
    for (Session* session : services.waiting) {
        if (++n_looks > kMostLooks) return;
        if (session->has_unread_request() || !sessions.contains(session)) continue;
        sessions.erase(session);
        leaving.insert(session);
        session->abort();
        return;
    }
}

asio::awaitable<void> Server::Impl::wait_until_empty(std::chrono::milliseconds limit) {
    if (sessions.empty() && leaving.empty()) co_return;
    changed.expires_after(limit);
    co_await changed.async_wait(kTuple);
}

Server::Server(asio::io_context& io, const config::Settings& settings, models::AdvancedModelManager& models,
               const catalog::Catalog& catalog, BlockingPool& pool)
    : impl_(std::make_shared<Impl>(io, settings, models, catalog, pool)) {}

Server::~Server() {
    impl_->close();
}

/// Opens one more address to accept from; the port that it got.
Result<std::uint16_t> Server::Impl::bind(std::uint16_t port, const char* setting, std::string_view way_out) {
    std::string host = services.settings.host;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code failure;
    tcp::resolver resolver(io);
    const auto found = resolver.resolve(host, fmt::to_string(port), tcp::resolver::passive, failure);
    if (failure || found.empty()) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("The address of HOST={} was not found: {}.", services.settings.host, failure.message()),
                    "HOST");
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    tcp::acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), failure);
    if (!failure) acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
    if (!failure && endpoint.address().is_v6()) {
        acceptor.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), failure);
    }
    if (!failure) acceptor.bind(endpoint, failure);
    if (!failure) acceptor.listen(asio::socket_base::max_listen_connections, failure);
    if (failure) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("{}:{} cannot be listened on: {}. {}", services.settings.host, port, failure.message(),
                                way_out),
                    setting);
    }
    acceptors.push_back(std::move(acceptor));
    return acceptors.back().local_endpoint().port();
}

void Server::Impl::accept_all() {
    for (tcp::acceptor& acceptor : acceptors) {
        asio::co_spawn(io,
                       accept_until_closed(acceptor, [self = shared_from_this()](
                                                         tcp::socket socket) { self->start(std::move(socket)); }),
                       [](const std::exception_ptr& thrown) { report("The accepting of connections", thrown); });
    }
}

void Server::Impl::close() {
    error_code ignored;
    for (tcp::acceptor& acceptor : acceptors) acceptor.close(ignored);
}

Result<std::uint16_t> Server::listen() {
    const config::Settings& settings = impl_->services.settings;
    const auto port = impl_->bind(settings.port, "PORT", "Choose another address with --host or --port.");
    if (!port) return port;
    if (settings.ollama_compat_port != 0 && settings.ollama_compat_port != *port) {
        const auto second = impl_->bind(settings.ollama_compat_port, "OLLAMA_COMPAT_PORT",
                                        "Does Ollama run? Stop it, or give OLLAMA_COMPAT_PORT another port.");
        if (!second) {
            impl_->acceptors.clear();
            return second;
        }
        spdlog::info("Ollama's programs find this server on port {} too", *second);
    }
    if (impl_->services.places < settings.max_connections) {
        spdlog::warn("the limit of open files (ulimit -n) leaves {} of the {} connections of MAX_CONNECTIONS",
                     impl_->services.places, settings.max_connections);
    }
    impl_->services.responses->begin();
    if (impl_->services.spans) impl_->services.spans->start();
    impl_->accept_all();
    impl_->services.batch_runner->start(impl_->io.get_executor());
    return port;
}

asio::awaitable<void> Server::drain(std::chrono::milliseconds deadline) {
    const std::shared_ptr<Impl> impl = impl_;
    impl->services.draining = true;
    impl->close();
    impl->services.jobs.cancel_all();
    impl->services.responses->drain();
    for (Session* session : impl->sessions) session->close_if_idle();
    co_await impl->services.batch_runner->stop();
    co_await impl->wait_until_empty(deadline);
    for (const auto* sessions : {&impl->sessions, &impl->leaving}) {
        for (Session* session : *sessions) session->abort();
    }
    co_await impl->wait_until_empty(kUnwind);
    co_await impl->services.responses->stop();
    if (impl->services.spans) co_await impl->services.spans->stop();
}

}  // namespace sutazai::http
