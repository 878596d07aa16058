#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <cstdint>
#include <memory>
#include <string_view>

#include "http/client_watch.h"
#include "http/exchange.h"
#include "http/request_parser.h"
#include "http/services.h"

namespace sutazai::http {

/// One connection: reads requests one after the other (pipelined ones wait), answers each, notices a client that goes
/// away while its request runs. Owned by whoever runs it; lives until run() or refuse() has ended. One
/// thread.
class Session final : public Transport, public std::enable_shared_from_this<Session> {
  public:
    Session(boost::asio::ip::tcp::socket socket, Services& services);

    /// Serves until either side closes. Spawn it with slot(): abort() and a client that goes away end it by cancelling
    /// what it waits for; an operation_aborted exception may come out of it then.
    [[nodiscard]] boost::asio::awaitable<void> run();

    /// Says 503 without reading anything, and closes: for connections that there is no place for.
    [[nodiscard]] boost::asio::awaitable<void> refuse();

    [[nodiscard]] boost::asio::cancellation_slot slot() { return cancellation_.slot(); }
    void close_if_idle();  ///< ends the session if it waits for a request
    void abort();          ///< ends it whatever it does
    /// Does a request's first byte wait to be read?
    [[nodiscard]] bool has_unread_request() const;

    [[nodiscard]] boost::asio::awaitable<Result<void>> write(std::string_view bytes) override;

  private:
    enum class Next : std::uint8_t {
        kRead,   // the next request
        kClose,  // at once
        kLinger  // the client may still be sending: let it read the answer first
    };

    class Waiting;
    class Watching;
    class Incoming;

    boost::asio::awaitable<bool> wait_for_request();
    boost::asio::awaitable<Next> serve_one();
    boost::asio::awaitable<boost::system::error_code> read_head(RequestParser& parser);
    boost::asio::awaitable<boost::system::error_code> read_body(RequestParser& parser);
    boost::asio::awaitable<boost::system::error_code> read_on(RequestParser& parser);
    boost::asio::awaitable<Next> serve_streaming(const Route& route, RequestParser& parser, Exchange& exchange);
    boost::asio::awaitable<boost::system::error_code> read_some(std::size_t most_bytes);
    boost::asio::awaitable<Next> refuse_unread(boost::system::error_code failure, RequestParser& parser,
                                               Exchange& exchange);
    boost::asio::awaitable<Result<void>> handle(const Route& route, Exchange& exchange);
    boost::asio::awaitable<void> linger();

    Services& services_;
    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    boost::asio::cancellation_signal cancellation_;
    ClientWatch watch_;
    bool from_this_machine_ = false;
    bool writing_ = false;  // some of an answer waits for the client
    bool waiting_ = false;  // for a request's first byte
    bool first_ = true;     // no request has come yet
    bool aborted_ = false;
};

}  // namespace sutazai::http
