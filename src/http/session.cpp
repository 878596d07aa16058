#include "http/session.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <chrono>
#include <list>
#include <utility>

#include "http/gate.h"
#include "http/status.h"
#include "serve/request_id.h"

namespace sutazai::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 8 << 10;
constexpr std::size_t kMostReadBytes = 64 << 10;  // of a body that is known to be so long
constexpr std::size_t kWriteBytes = 256 << 10;    // at once, then the thread's other work gets its turn
constexpr int kKeepAliveS = 15;
constexpr std::chrono::seconds kLinger{2};
constexpr std::size_t kLingerBytes = 16 << 20;

/// Empty lines that are passed over before a request line (RFC 9112, 2.2).
constexpr std::size_t kMostEmptyLines = 4;

/// Takes empty lines off the buffer, at most `n_left`, which counts down. Whether a request has begun behind them.
bool begins_request(beast::flat_buffer& buffer, std::size_t& n_left) {
    const auto text = [&] { return std::string_view(static_cast<const char*>(buffer.cdata().data()), buffer.size()); };
    for (; n_left > 0 && text().starts_with("\r\n"); --n_left) buffer.consume(2);
    return !text().empty() && (n_left == 0 || text() != "\r");
}

bool is_loopback(const asio::ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
    }
    return address.is_loopback();
}

Error client_gone() {
    return {ErrorCode::kCancelled, "The client has gone."};
}

}  // namespace

/// While the connection may be closed to make room for another one: it has no request, or not the whole head of one.
class Session::Waiting {
  public:
    explicit Waiting(Session& session)
        : list_(session.services_.waiting), place_(list_.insert(list_.end(), &session)) {}
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { end(); }

    /// A head begins. From here on its bytes earn no more time, or single bytes would keep the connection for ever.
    void begin_anew() { list_.splice(list_.end(), list_, place_); }
    void end() {
        if (!std::exchange(ended_, true)) list_.erase(place_);
    }

  private:
    std::list<Session*>& list_;
    std::list<Session*>::iterator place_;
    bool ended_ = false;
};

/// While a request runs, however that ends.
class Session::Watching {
  public:
    Watching(Session& session, const Exchange& exchange) : watch_(&session.watch_) {
        watch_->start(session.shared_from_this(),
                      {.gone = [&session] { session.abort(); },
                       .probe = [&] { return session.writing_ ? std::string_view{} : exchange.probe(); }});
    }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;
    ~Watching() { end(); }

    void end() {
        if (watch_ != nullptr) std::exchange(watch_, nullptr)->stop();
    }

  private:
    ClientWatch* watch_;
};

/// While a handler reads it.
class Session::Incoming final : public IncomingBody {
  public:
    Incoming(Session& session, RequestParser& parser, Exchange& exchange)
        : session_(session), parser_(parser), exchange_(exchange) {}

    asio::awaitable<Result<HeldBody>> read() override {
        const bool first = !std::exchange(begun_, true);
        if (first && parser_.expects_continue() && exchange_.request().http_1_1 && !parser_.is_done()) {
            auto asked = co_await session_.write("HTTP/1.1 100 Continue\r\n\r\n");
            if (!asked) co_return std::unexpected(std::move(asked.error()));
        }
        while (!parser_.is_done() && !parser_.has_body()) {
            // Long bodies take long; but each piece of them has to come in time.
            session_.stream_.expires_after(std::chrono::seconds(session_.services_.settings.read_timeout_s));
            const error_code failure = co_await session_.read_on(parser_);
            if (failure) co_return why(failure);
        }
        if (parser_.is_done()) {
            exchange_.keep_alive = parser_.keep_alive() && !session_.services_.draining;
            if (session_.buffer_.capacity() > 2 * kReadBytes) session_.buffer_.shrink_to_fit();
        }
        co_return parser_.take_body();
    }

  private:
    [[nodiscard]] Result<HeldBody> why(error_code failure) const {
        auto refusal = parser_.refusal(failure);
        if (!refusal) return std::unexpected(client_gone());
        return std::unexpected(std::move(refusal->error));
    }

    Session& session_;
    RequestParser& parser_;
    Exchange& exchange_;
    bool begun_ = false;
};

Session::Session(asio::ip::tcp::socket socket, Services& services)
    : services_(services),
      stream_(std::move(socket)),
      // Holds a head and what was read beyond it; bodies are moved out as they come.
      buffer_(services.settings.max_header_bytes + (std::size_t{128} << 10)),
      watch_(stream_.socket(), buffer_) {
    error_code ignored;
    from_this_machine_ = is_loopback(stream_.socket().remote_endpoint(ignored).address());
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    stream_.socket().non_blocking(true, ignored);
    // A machine that vanished without a word counts as a reader that takes nothing; keep-alives find it while an answer
    // that has not begun leaves nothing for it to take.
    using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
    using KeepAliveIdle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
    using KeepAliveInterval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
    stream_.socket().set_option(UserTimeout(static_cast<int>(services.settings.write_timeout_s * 1000)), ignored);
    stream_.socket().set_option(asio::socket_base::keep_alive(true), ignored);
    stream_.socket().set_option(KeepAliveIdle(kKeepAliveS), ignored);
    stream_.socket().set_option(KeepAliveInterval(kKeepAliveS), ignored);
}

asio::awaitable<void> Session::run() {
    Next next = Next::kRead;
    while (next == Next::kRead) next = co_await serve_one();
    if (next == Next::kLinger) {
        const Waiting waiting(*this);
        co_await linger();
    }
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
}

asio::awaitable<void> Session::refuse() {
    Exchange exchange({}, *this);
    Error error{
        ErrorCode::kUnavailable,
        fmt::format("All of the {} connections that there may be are busy (MAX_CONNECTIONS).", services_.places)};
    error.retry_after_s = 1;
    if (co_await exchange.send_error(std::move(error))) co_await linger();
}

void Session::close_if_idle() {
    if (waiting_) stream_.cancel();
}

void Session::abort() {
    aborted_ = true;
    cancellation_.emit(asio::cancellation_type::terminal);
    stream_.cancel();
}

bool Session::has_unread_request() const {
    error_code failure;
    return waiting_ && stream_.socket().available(failure) > 0;
}

asio::awaitable<Result<void>> Session::write(std::string_view bytes) {
    // The socket nearly always takes a token at once; only a slow reader or a long answer costs a wait and a timer.
    error_code failure;
    std::size_t written = stream_.socket().write_some(asio::buffer(bytes.substr(0, kWriteBytes)), failure);
    if (failure == asio::error::would_block) failure = {};
    bytes.remove_prefix(written);
    writing_ = true;
    while (!failure && !bytes.empty()) {
        stream_.expires_after(std::chrono::seconds(services_.settings.write_timeout_s));
        std::tie(failure, written) =
            co_await stream_.async_write_some(asio::buffer(bytes.substr(0, kWriteBytes)), kTuple);
        bytes.remove_prefix(written);
    }
    writing_ = false;
    if (failure) co_return std::unexpected(client_gone());
    co_return Result<void>{};
}

asio::awaitable<error_code> Session::read_some(std::size_t most_bytes) {
    const auto [failure, size] = co_await stream_.async_read_some(buffer_.prepare(most_bytes), kTuple);
    buffer_.commit(size);
    co_return failure;
}

asio::awaitable<bool> Session::wait_for_request() {
    std::size_t n_empty_lines_left = kMostEmptyLines;
    if (begins_request(buffer_, n_empty_lines_left)) {
        // Requests that were sent together must not keep the thread from other work.
        co_await asio::post(stream_.get_executor(), asio::use_awaitable);
        co_return true;
    }
    if (buffer_.capacity() > 2 * kReadBytes) buffer_.shrink_to_fit();  // grown by what was sent ahead
    if (services_.draining) co_return false;
    const config::Settings& settings = services_.settings;
    stream_.expires_after(std::chrono::seconds(first_ ? settings.read_timeout_s : settings.idle_timeout_s));
    waiting_ = true;
    error_code failure;
    do {
        failure = co_await read_some(kReadBytes);
    } while (!failure && !begins_request(buffer_, n_empty_lines_left));
    waiting_ = false;
    co_return !failure;
}

asio::awaitable<error_code> Session::read_head(RequestParser& parser) {
    parser.eager(false);  // the body is not looked at before the head has been
    error_code failure;
    for (;;) {
        buffer_.consume(parser.put(buffer_.data(), failure));
        if (failure != wire::error::need_more) co_return failure;
        failure = co_await read_some(kReadBytes);
        if (failure) co_return failure;
    }
}

asio::awaitable<error_code> Session::read_on(RequestParser& parser) {
    if (buffer_.size() > 0) {
        error_code failure;
        buffer_.consume(parser.put(buffer_.data(), failure));
        if (failure && failure != wire::error::need_more) co_return failure;
        if (parser.is_done()) co_return error_code{};
        // What is left begins trailers, or the line before a chunk.
        if (buffer_.size() > services_.settings.max_header_bytes) co_return wire::error::header_limit;
    }
    const std::uint64_t expected = parser.content_length_remaining().value_or(0);
    co_return co_await read_some(std::clamp<std::uint64_t>(expected, kReadBytes, kMostReadBytes));
}

asio::awaitable<error_code> Session::read_body(RequestParser& parser) {
    parser.eager(true);
    while (!parser.is_done()) {
        if (const error_code failure = co_await read_on(parser); failure) co_return failure;
    }
    if (buffer_.capacity() > 2 * kReadBytes) buffer_.shrink_to_fit();
    co_return error_code{};
}

asio::awaitable<Session::Next> Session::serve_one() {
    Waiting waiting(*this);
    if (!co_await wait_for_request()) co_return Next::kClose;
    first_ = false;
    waiting.begin_anew();
    RequestParser parser(services_.settings, services_.bodies, &services_.router);
    // One deadline for head and body together: a sender of single bytes gets no more time than others.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(services_.settings.read_timeout_s);
    stream_.expires_at(deadline);
    if (const error_code failure = co_await read_head(parser); failure) {
        waiting.end();
        Exchange exchange({}, *this);
        exchange.set_family(family_of_path(parser.target()));
        co_return co_await refuse_unread(failure, parser, exchange);
    }
    const auto arrived = std::chrono::steady_clock::now();
    waiting.end();
    auto request = parser.take_head();
    Exchange exchange(request ? std::move(*request) : Request{}, *this);
    exchange.from_this_machine = from_this_machine_;
    if (!request) exchange.set_family(family_of_path(parser.target()));
    Result<const Route*> route = request ? admit(services_, exchange) : std::unexpected(request.error().error);
    if (route && !parser.streams() && !services_.bodies.has_room_for(parser.content_length().value_or(0))) {
        route = std::unexpected(no_room_for_body());  // sending it would be in vain
    }
    if (!route) {
        const bool body_is_left = !parser.is_done();
        exchange.keep_alive = parser.keep_alive() && !body_is_left && !services_.draining;
        // What is wrong with a head is wrong HTTP, whatever status the family has for wrong values.
        const ErrorCode code = route.error().code;
        const unsigned status = !request                              ? request.error().status
                                : code == ErrorCode::kInvalidArgument ? 400
                                                                      : http_status(code, exchange.family);
        if (!co_await exchange.send_error(std::move(route.error()), status)) co_return Next::kClose;
        co_return body_is_left ? Next::kLinger : exchange.keep_alive ? Next::kRead : Next::kClose;
    }
    exchange.caller.request_id = exchange.request_id();
    if (serve::is_traceparent(exchange.request().traceparent)) {
        exchange.caller.traceparent = exchange.request().traceparent;
    }
    exchange.caller.route = (*route)->path;
    exchange.caller.arrived = arrived;
    if (parser.streams()) co_return co_await serve_streaming(**route, parser, exchange);
    if (!parser.is_done()) {
        if (parser.expects_continue() && exchange.request().http_1_1 &&
            !co_await write("HTTP/1.1 100 Continue\r\n\r\n")) {
            co_return Next::kClose;
        }
        stream_.expires_at(deadline);
        if (const error_code failure = co_await read_body(parser); failure) {
            co_return co_await refuse_unread(failure, parser, exchange);
        }
    }
    exchange.request().body = parser.take_body();
    exchange.keep_alive = parser.keep_alive() && !services_.draining;

    Watching watching(*this, exchange);
    Result<void> done = co_await handle(**route, exchange);
    if (aborted_) co_return Next::kClose;
    if (!done && !exchange.answered()) done = co_await exchange.send_error(std::move(done.error()));
    watching.end();
    if (!done && done.error().code == ErrorCode::kCancelled) co_return Next::kClose;
    co_return exchange.keep_alive && !services_.draining ? Next::kRead : Next::kClose;
}

asio::awaitable<Session::Next> Session::serve_streaming(const Route& route, RequestParser& parser, Exchange& exchange) {
    parser.eager(true);
    Incoming incoming(*this, parser, exchange);
    exchange.incoming = &incoming;
    Result<void> done = co_await handle(route, exchange);
    if (aborted_) co_return Next::kClose;
    if (!done && !exchange.answered()) done = co_await exchange.send_error(std::move(done.error()));
    if (!done && done.error().code == ErrorCode::kCancelled) co_return Next::kClose;
    if (!parser.is_done()) co_return Next::kLinger;
    co_return exchange.keep_alive && !services_.draining ? Next::kRead : Next::kClose;
}

asio::awaitable<Session::Next> Session::refuse_unread(error_code failure, RequestParser& parser, Exchange& exchange) {
    auto refusal = parser.refusal(failure);
    if (!refusal) co_return Next::kClose;
    { const HeldBody dropped = parser.take_body(); }  // others may need its room
    const Result<void> sent = co_await exchange.send_error(std::move(refusal->error), refusal->status);
    co_return sent ? Next::kLinger : Next::kClose;
}

asio::awaitable<Result<void>> Session::handle(const Route& route, Exchange& exchange) {
    const auto begun = std::chrono::steady_clock::now();
    Result<void> done;
    try {
        done = co_await route.handler(services_, exchange);
    } catch (const std::exception& error) {
        if (aborted_) co_return std::unexpected(client_gone());
        done = fail(ErrorCode::kInternal, "The server failed to handle the request.");
        spdlog::error("{} {} {}: {}", exchange.request_id(), to_string(exchange.request().method), route.path,
                      error.what());
    }
    // A stream that broke off can only be told by closing the connection; one with an error event at its end did not.
    if (!done && exchange.answered() && !exchange.ended() && done.error().code == ErrorCode::kInternal)
        exchange.keep_alive = false;
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    spdlog::debug("{} {} {} {} {:.1f} ms", exchange.request_id(), to_string(exchange.request().method), route.path,
                  exchange.status(), took.count());
    co_return done;
}

asio::awaitable<void> Session::linger() {
    // Closing with unread bytes would reset the connection and take the answer with it.
    error_code failure;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, failure);
    stream_.expires_after(kLinger);
    buffer_.clear();
    for (std::size_t total = 0, size = 0; !failure && total < kLingerBytes; total += size) {
        std::tie(failure, size) = co_await stream_.async_read_some(buffer_.prepare(kReadBytes), kTuple);
    }
}

}  // namespace sutazai::http
