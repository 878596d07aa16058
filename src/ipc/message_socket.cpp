#include "ipc/message_socket.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <exception>
#include <utility>

namespace sutazai::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr int kReadsInARow = 8;  // then the thread's other work gets its turn
constexpr std::size_t kArenaBytes = std::size_t{64} << 10;
constexpr std::size_t kKeepOutgoingBytes = std::size_t{1} << 20;

}  // namespace

MessageSocket::MessageSocket(const asio::any_io_executor& executor, int fd)
    : socket_(executor, asio::local::stream_protocol(), fd),
      arena_block_(std::make_unique_for_overwrite<char[]>(kArenaBytes)) {
    socket_.non_blocking(true);
}

void MessageSocket::start(Reader reader) {
    reader_ = std::move(reader);
    wait_readable();
}

void MessageSocket::close() {
    error_code ignored;
    socket_.close(ignored);
}

Result<void> MessageSocket::send(const wire::ToEngine& message) {
    if (!socket_.is_open()) return {};
    auto appended = append_frame(outgoing_, message);
    if (appended) write_more();
    return appended;
}

void MessageSocket::write_more() {
    if (write_in_flight_ || outgoing_.empty() || !socket_.is_open()) return;
    write_in_flight_ = true;
    writing_.clear();
    if (writing_.capacity() > kKeepOutgoingBytes) writing_.shrink_to_fit();
    std::swap(writing_, outgoing_);
    asio::async_write(socket_, asio::buffer(writing_), [self = shared_from_this()](error_code error, std::size_t) {
        self->write_in_flight_ = false;
        // A failed write means that the engine is going; its end is seen by others.
        if (!error) self->write_more();
    });
}

void MessageSocket::wait_readable() {
    socket_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code error) {
        if (error) return;
        for (int i = 0; i < kReadsInARow; ++i) {
            const auto n_bytes = self->take_some();
            if (!n_bytes) return;
            if (*n_bytes < kReadBytes) break;
        }
        self->wait_readable();
    });
}

void MessageSocket::read_rest() {
    while (take_some().value_or(0) > 0) {
    }
}

/// Reads what is there and hands it out: how many bytes, or nothing when no more will be read.
std::optional<std::size_t> MessageSocket::take_some() {
    if (!reads_ || !socket_.is_open()) return std::nullopt;
    try {
        const auto n_bytes = read_some();
        if (n_bytes && *n_bytes > 0 && !parse()) {
            stop_reading("sent what is no valid message and was ended");
            return std::nullopt;
        }
        return n_bytes;
    } catch (const std::exception& e) {
        stop_reading(fmt::format("was ended, because what it sent could not be taken: {}", e.what()));
        return std::nullopt;
    }
}

/// Reads what is there into the decoder: how many bytes, or nothing when no more will come.
std::optional<std::size_t> MessageSocket::read_some() {
    const auto room = decoder_.prepare(kReadBytes);
    const ssize_t n = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
    if (n > 0) {
        decoder_.commit(static_cast<std::size_t>(n));
        return static_cast<std::size_t>(n);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    reader_.end();
    return std::nullopt;
}

/// Hands out every whole frame; false when one of them is nonsense.
bool MessageSocket::parse() {
    google::protobuf::ArenaOptions arena_options;
    arena_options.initial_block = arena_block_.get();
    arena_options.initial_block_size = kArenaBytes;
    google::protobuf::Arena arena(arena_options);
    while (socket_.is_open()) {
        const auto payload = decoder_.next();
        if (payload && !*payload) return true;
        auto* message = google::protobuf::Arena::CreateMessage<wire::FromEngine>(&arena);
        if (!payload || !message->ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size())) ||
            !reader_.take(*message)) {
            return false;
        }
        arena.Reset();
    }
    return true;
}

void MessageSocket::stop_reading(const std::string& why) {
    reads_ = false;
    reader_.nonsense(why);
}

}  // namespace sutazai::ipc
