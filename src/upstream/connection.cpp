#include "upstream/connection.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "ipc/signal.h"
#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint32_t kMostHeadBytes = 32 << 10;
constexpr std::size_t kBufferBytes = 64 << 10;
/// What the kernel may hold of an answer that nobody takes; it would grow to megabytes by itself.
constexpr int kReceiveBufferBytes = 256 << 10;

/// A name's addresses. getaddrinfo() runs on a thread of Asio's and cannot be ended, only left to itself.
struct Lookup {
    explicit Lookup(const asio::any_io_executor& executor) : resolver(executor) {}
    tcp::resolver resolver;
    std::optional<error_code> failure;
    std::vector<tcp::endpoint> found;
    ipc::Signal done;
};

asio::awaitable<Result<std::vector<tcp::endpoint>>> find(asio::any_io_executor executor, UpstreamAddress address,
                                                         Connection::Clock::time_point deadline) {
    error_code no_literal;
    const auto literal = asio::ip::make_address(address.host, no_literal);
    if (!no_literal) co_return std::vector{tcp::endpoint(literal, address.port)};
    const auto lookup = std::make_shared<Lookup>(executor);
    lookup->resolver.async_resolve(address.host, fmt::to_string(address.port),
                                   [lookup](error_code failure, const tcp::resolver::results_type& results) {
                                       lookup->failure = failure;
                                       for (const auto& entry : results) lookup->found.push_back(entry.endpoint());
                                       lookup->done.notify();
                                   });
    while (!lookup->failure && Connection::Clock::now() < deadline) co_await lookup->done.wait(deadline);
    if (!lookup->failure) co_return broken("its name was not found in time");
    if (*lookup->failure || lookup->found.empty()) {
        co_return broken(fmt::format("its name was not found: {}", lookup->failure->message()));
    }
    co_return lookup->found;
}

/// A cancelled wait says nothing of the other server.
error_code unless_cancelled(error_code failure) {
    if (failure == asio::error::operation_aborted) throw boost::system::system_error(failure);
    return failure;
}

}  // namespace

std::string reason_of(const error_code& failure) {
    if (is_timeout(failure)) return "nothing came in time";
    if (failure == wire::error::end_of_stream || failure == asio::error::eof ||
        failure == wire::error::partial_message || failure == asio::ssl::error::stream_truncated ||
        failure == asio::error::connection_reset || failure == asio::error::broken_pipe) {
        return "it closed the connection";
    }
    if (failure == wire::error::body_limit) return "its answer is too large";
    if (failure == wire::error::header_limit) return "the head of its answer is too large";
    if (failure.category() == wire::make_error_code(wire::error::bad_version).category()) {
        return fmt::format("its answer is not valid HTTP ({})", failure.message());
    }
    return failure.message();
}

bool is_timeout(const error_code& failure) {
    return failure == beast::error::timeout || failure == asio::error::timed_out;
}

Connection::Connection(const asio::any_io_executor& executor, asio::ssl::context* tls)
    : idle_since(Clock::now()), stream_(executor), context_(tls), buffer_(kBufferBytes) {}

asio::awaitable<Result<void>> Connection::open(UpstreamAddress address, Timeout timeout) {
    const auto deadline = Clock::now() + timeout;
    auto endpoints = co_await find(stream_.get_executor(), address, deadline);
    if (!endpoints) co_return std::unexpected(std::move(endpoints.error()));
    stream_.expires_at(deadline);
    const auto [failure, endpoint] = co_await stream_.async_connect(*endpoints, kTuple);
    if (unless_cancelled(failure)) {
        co_return broken(
            fmt::format("it cannot be reached: {}", is_timeout(failure) ? "no connection in time" : failure.message()));
    }
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    stream_.socket().set_option(asio::socket_base::keep_alive(true), ignored);
    stream_.socket().set_option(asio::socket_base::receive_buffer_size(kReceiveBufferBytes), ignored);
    if (!address.tls) co_return Result<void>{};
    co_return co_await shake_hands(std::move(address));
}

asio::awaitable<Result<void>> Connection::shake_hands(UpstreamAddress address) {
    tls_.emplace(stream_, *context_);
    tls_->set_verify_mode(asio::ssl::verify_peer);
    tls_->set_verify_callback(asio::ssl::host_name_verification(address.host));
    error_code no_literal;
    (void)asio::ip::make_address(address.host, no_literal);
    // An address is no server name.
    if (no_literal) SSL_set_tlsext_host_name(tls_->native_handle(), address.host.c_str());
    const auto [failure] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kTuple);
    if (unless_cancelled(failure))
        co_return broken(fmt::format("no TLS connection could be made: {}", failure.message()));
    co_return Result<void>{};
}

asio::awaitable<error_code> Connection::send(std::string request, std::uint64_t most_bytes, Timeout timeout) {
    parser_.emplace();
    parser_->header_limit(kMostHeadBytes);
    parser_->body_limit(most_bytes);
    stream_.expires_after(timeout);
    if (tls_) {
        const auto [failure, n] = co_await asio::async_write(*tls_, asio::buffer(request), kTuple);
        co_return unless_cancelled(failure);
    }
    const auto [failure, n] = co_await asio::async_write(stream_, asio::buffer(request), kTuple);
    co_return unless_cancelled(failure);
}

asio::awaitable<error_code> Connection::read_head(Timeout timeout) {
    stream_.expires_after(timeout);
    if (tls_) {
        const auto [failure, n] = co_await wire::async_read_header(*tls_, buffer_, *parser_, kTuple);
        co_return unless_cancelled(failure);
    }
    const auto [failure, n] = co_await wire::async_read_header(stream_, buffer_, *parser_, kTuple);
    co_return unless_cancelled(failure);
}

asio::awaitable<error_code> Connection::read_some(std::string& out, Timeout timeout) {
    error_code failure;
    stream_.expires_after(timeout);
    std::string& body = parser_->get().body();
    while (body.empty() && !failure && !parser_->is_done()) {
        if (tls_) {
            std::tie(failure, std::ignore) = co_await wire::async_read_some(*tls_, buffer_, *parser_, kTuple);
        } else {
            std::tie(failure, std::ignore) = co_await wire::async_read_some(stream_, buffer_, *parser_, kTuple);
        }
    }
    out += body;
    body.clear();
    co_return unless_cancelled(failure);
}

unsigned Connection::status() const {
    return parser_->get().result_int();
}

std::string Connection::header(std::string_view name) const {
    const auto value = parser_->get()[beast::string_view(name.data(), name.size())];
    return {value.data(), value.size()};
}

bool Connection::is_reusable() const {
    return is_done() && parser_->keep_alive() && buffer_.size() == 0;
}

bool Connection::is_quiet() {
    char byte = 0;
    const auto n = ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

}  // namespace sutazai::upstream
