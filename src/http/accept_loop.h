#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>

namespace sutazai::http {

/// Gives each new connection to `start` until the acceptor is closed. Goes on whatever happens: after an exception out
/// of `start`, and with pauses while the process is out of file descriptors or memory; the log is told, not more often
/// than every ten seconds. `acceptor` outlives the coroutine.
[[nodiscard]] boost::asio::awaitable<void> accept_until_closed(boost::asio::ip::tcp::acceptor& acceptor,
                                                               std::function<void(boost::asio::ip::tcp::socket)> start);

}  // namespace sutazai::http
