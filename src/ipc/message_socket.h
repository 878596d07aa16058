#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "ipc/frame.h"
#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// The server's end of the socket to one engine: messages as frames, both ways, without waiting for either. It keeps
/// itself alive while it waits for the socket, and calls nobody once it is closed. One I/O thread.
class MessageSocket : public std::enable_shared_from_this<MessageSocket> {
  public:
    /// Called on the I/O thread; each may close the socket.
    struct Reader {
        std::function<bool(wire::FromEngine&)> take;       ///< false: the message makes no sense now
        std::function<void(const std::string&)> nonsense;  ///< once; nothing is read afterwards. What the engine did
        std::function<void()> end;                         ///< the engine has closed its end
    };

    /// Takes the descriptor over.
    MessageSocket(const boost::asio::any_io_executor& executor, int fd);

    void start(Reader reader);

    /// Never waits. kPayloadTooLarge for a message that fits no frame; what is sent after close() is dropped.
    Result<void> send(const wire::ToEngine& message);

    /// Hands out what has arrived by now: the last words of an engine that is gone.
    void read_rest();
    void close();

  private:
    void write_more();
    void wait_readable();
    std::optional<std::size_t> take_some();
    std::optional<std::size_t> read_some();
    bool parse();
    void stop_reading(const std::string& why);

    boost::asio::local::stream_protocol::socket socket_;
    Reader reader_;
    bool reads_ = true;  // false once nonsense has come
    FrameDecoder decoder_;
    std::unique_ptr<char[]> arena_block_;  // where each received message is parsed into
    std::string outgoing_;
    std::string writing_;  // the buffer of the write in flight
    bool write_in_flight_ = false;
};

}  // namespace sutazai::ipc
