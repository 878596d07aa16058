#include "http/client_watch.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace sutazai::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// Of pipelined requests. What lies beyond waits in the kernel, and the client with it.
constexpr std::size_t kMostReadAhead = 64 << 10;
/// Before a half-closed client is sent something, and between two looks at one that has sent too much.
constexpr std::chrono::milliseconds kMoment{500};

}  // namespace

ClientWatch::ClientWatch(tcp::socket& socket, boost::beast::flat_buffer& buffer)
    : socket_(socket), buffer_(buffer), timer_(socket.get_executor()) {}

void ClientWatch::start(const std::shared_ptr<void>& owner, Client client) {
    owner_ = owner;
    client_ = std::move(client);
    ++watch_;
    if (half_closed_) {
        wait_for_reset();
    } else {
        wait_for_bytes();
    }
}

void ClientWatch::stop() {
    ++watch_;
    client_ = {};
    timer_.cancel();
    error_code ignored;
    socket_.cancel(ignored);
}

template <typename Then>
void ClientWatch::wait_for(tcp::socket::wait_type what, Then then) {
    socket_.async_wait(what, [this, owner = owner_.lock(), mine = watch_, then](error_code failure) {
        if (!failure && mine == watch_) then();
    });
}

template <typename Then>
void ClientWatch::wait_a_moment(Then then) {
    timer_.expires_after(kMoment);
    timer_.async_wait([this, owner = owner_.lock(), mine = watch_, then](error_code failure) {
        if (!failure && mine == watch_) then();
    });
}

void ClientWatch::wait_for_bytes() {
    wait_for(tcp::socket::wait_read, [this] { read(); });
}

void ClientWatch::read() {
    if (buffer_.size() >= kMostReadAhead) return ask_the_kernel();
    const auto room = buffer_.prepare(std::min<std::size_t>(kMostReadAhead - buffer_.size(), 8 << 10));
    const ssize_t size = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
    if (size > 0) buffer_.commit(static_cast<std::size_t>(size));
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return wait_for_bytes();
    if (size < 0) return is_gone();
    half_closed_ = true;
    wait_for_reset();
}

/// Bytes that nobody reads hide the end behind them from recv(), not from poll().
void ClientWatch::ask_the_kernel() {
    pollfd state{socket_.native_handle(), POLLRDHUP, 0};
    ::poll(&state, 1, 0);
    if ((state.revents & (POLLERR | POLLHUP)) != 0) return is_gone();
    if ((state.revents & POLLRDHUP) != 0) return wait_for_reset();
    wait_a_moment([this] { ask_the_kernel(); });
}

/// The kernel of a client that is gone answers whatever it gets with a reset.
void ClientWatch::wait_for_reset() {
    wait_for(tcp::socket::wait_error, [this] { is_gone(); });
    wait_a_moment([this] { probe(); });
}

void ClientWatch::probe() {
    int unacknowledged = 0;
    ::ioctl(socket_.native_handle(), SIOCOUTQ, &unacknowledged);
    if (unacknowledged > 0) return;  // bytes of the answer are on their way: they do the same
    const std::string_view bytes = client_.probe();
    if (bytes.empty()) return;
    const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != static_cast<ssize_t>(bytes.size())) is_gone();
}

void ClientWatch::is_gone() {
    if (const auto gone = std::exchange(client_.gone, nullptr)) gone();
}

}  // namespace sutazai::http
