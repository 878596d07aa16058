#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace sutazai::http {

/// Notices that the client goes away while its request runs (docs/decisions/0014-clients-that-go-away.md). What the
/// client sends meanwhile is read into the connection's buffer, up to a bound, so that the end behind it is seen. A
/// client that ends only its own half (shutdown(SHUT_WR)) looks like one that has closed until something is sent to it;
/// so it is sent something that means nothing. One I/O thread; a part of its session.
class ClientWatch {
  public:
    struct Client {
        std::function<void()> gone;               ///< called once at most, not from within start()
        std::function<std::string_view()> probe;  ///< bytes that mean nothing where the answer stands; may be empty
    };

    /// `socket` and `buffer` outlive this.
    ClientWatch(boost::asio::ip::tcp::socket& socket, boost::beast::flat_buffer& buffer);

    /// Watches until stop(). `owner` (of this) is kept by what waits, not by this.
    void start(const std::shared_ptr<void>& owner, Client client);
    /// Cancels every operation of the socket.
    void stop();

  private:
    template <typename Then>
    void wait_for(boost::asio::ip::tcp::socket::wait_type what, Then then);
    template <typename Then>
    void wait_a_moment(Then then);
    void wait_for_bytes();
    void read();
    void ask_the_kernel();
    void wait_for_reset();
    void probe();
    void is_gone();

    boost::asio::ip::tcp::socket& socket_;
    boost::beast::flat_buffer& buffer_;
    boost::asio::steady_timer timer_;
    std::weak_ptr<void> owner_;
    Client client_;
    std::uint64_t watch_ = 0;   // tells a late handler that its request is over
    bool half_closed_ = false;  // no more requests will come
};

}  // namespace sutazai::http
