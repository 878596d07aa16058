#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/upstream_address.h"

namespace sutazai::upstream {

/// One HTTP/1.1 connection to an upstream, for one exchange after the other. Every wait has an end; a cancelled one
/// ends with an operation_aborted exception and leaves the connection good for nothing but to be destroyed, which
/// closes it. One I/O thread.
class Connection {
  public:
    using Clock = std::chrono::steady_clock;
    using Timeout = std::chrono::milliseconds;

    /// `tls` outlives it; null for plain http.
    Connection(const boost::asio::any_io_executor& executor, boost::asio::ssl::context* tls);

    /// Finds and opens the address. kUpstreamFailed with the reason.
    [[nodiscard]] boost::asio::awaitable<Result<void>> open(UpstreamAddress address, Timeout timeout);

    /// Sends a whole request, whose answer may be read up to so many bytes of body.
    [[nodiscard]] boost::asio::awaitable<boost::system::error_code> send(std::string request, std::uint64_t most_bytes,
                                                                         Timeout timeout);
    [[nodiscard]] boost::asio::awaitable<boost::system::error_code> read_head(Timeout timeout);
    /// Appends what has come of the body: something, unless it is done or fails.
    [[nodiscard]] boost::asio::awaitable<boost::system::error_code> read_some(std::string& out, Timeout timeout);

    [[nodiscard]] unsigned status() const;
    [[nodiscard]] std::string header(std::string_view name) const;  ///< empty: there is none
    [[nodiscard]] bool is_done() const { return parser_ && parser_->is_done(); }
    /// After an exchange that is done: may there be another one?
    [[nodiscard]] bool is_reusable() const;
    /// Of one that has been idle: has the other side neither closed it nor said something unasked?
    [[nodiscard]] bool is_quiet();

    Clock::time_point idle_since;

  private:
    using Parser = boost::beast::http::response_parser<boost::beast::http::string_body>;
    [[nodiscard]] boost::asio::awaitable<Result<void>> shake_hands(UpstreamAddress address);

    boost::beast::tcp_stream stream_;
    boost::asio::ssl::context* context_;
    std::optional<boost::asio::ssl::stream<boost::beast::tcp_stream&>> tls_;
    boost::beast::flat_buffer buffer_;
    std::optional<Parser> parser_;
};

/// In words for whoever asked: "Connection refused", "nothing came in time".
[[nodiscard]] std::string reason_of(const boost::system::error_code& failure);
[[nodiscard]] bool is_timeout(const boost::system::error_code& failure);

}  // namespace sutazai::upstream
