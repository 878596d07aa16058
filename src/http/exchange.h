#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/family.h"
#include "http/request.h"
#include "serve/caller.h"

namespace sutazai::http {

/// Where an answer's bytes go: a connection, or a test's string.
class Transport {
  public:
    virtual ~Transport() = default;
    /// Writes all of `bytes`; kCancelled when the client is gone or takes nothing for WRITE_TIMEOUT_S.
    [[nodiscard]] virtual boost::asio::awaitable<Result<void>> write(std::string_view bytes) = 0;
};

/// A body that its handler reads as it comes: it is nowhere held, and its sender waits for who reads it.
class IncomingBody {
  public:
    virtual ~IncomingBody() = default;
    /// The next piece, of up to a few hundred KiB; empty at the end. kCancelled when the sender has gone or takes too
    /// long, kInvalidArgument when what comes is no HTTP. After an error there is no more.
    [[nodiscard]] virtual boost::asio::awaitable<Result<HeldBody>> read() = 0;
};

/// One request and the means to answer it, once. Lives in its session's coroutine.
class Exchange {
  public:
    Exchange(Request request, Transport& transport);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    [[nodiscard]] const Request& request() const { return request_; }
    [[nodiscard]] Request& request() { return request_; }

    Family family = Family::kStreamingV1;  ///< shape of errors
    std::string parameter;                 ///< of a "/*" route
    bool from_this_machine = false;        ///< the connection comes from a loopback address
    serve::Caller caller;                  ///< as admit() found (gate.h)
    bool known = false;                    ///< may see more than open routes tell everybody
    IncomingBody* incoming = nullptr;      ///< of a route that streams
    bool keep_alive = false;               ///< is the connection to stay open after this answer

    void set_family(Family to);
    /// Of the request: its X-Request-Id, where that is one, or a new one. Goes with every answer.
    [[nodiscard]] const std::string& request_id() const { return request_id_; }

    /// For every answer to this request.
    void add_header(std::string_view name, std::string_view value);

    /// A whole answer in one write. To HEAD the body is left out. Statuses 204 and 304 have none.
    [[nodiscard]] boost::asio::awaitable<Result<void>> send(unsigned status, std::string_view content_type,
                                                            std::string_view body);
    [[nodiscard]] boost::asio::awaitable<Result<void>> send_json(unsigned status, std::string_view body);
    [[nodiscard]] boost::asio::awaitable<Result<void>> send_error(Error error);
    /// The same with a status that no ErrorCode stands for.
    [[nodiscard]] boost::asio::awaitable<Result<void>> send_error(Error error, unsigned status);

    /// A 200 answer of a known length in pieces: its head now, to HEAD that alone, then send_piece() until all of it
    /// has been sent.
    [[nodiscard]] boost::asio::awaitable<Result<void>> begin_sized(std::string_view content_type, std::uint64_t bytes);
    [[nodiscard]] boost::asio::awaitable<Result<void>> send_piece(std::string_view bytes);

    [[nodiscard]] bool answered() const { return status_ != 0; }  ///< has any of the answer been sent
    [[nodiscard]] bool ended() const { return ended_; }           ///< has the end of a streamed answer been sent
    [[nodiscard]] unsigned status() const { return status_; }     ///< 0: not answered
    /// Bytes that a client which waits for the next of the answer passes over; empty where none may be sent.
    [[nodiscard]] std::string_view probe() const;

  private:
    friend class StreamSink;
    void append_head(std::string& out, unsigned status, std::string_view content_type);

    Request request_;
    Transport& transport_;
    std::string extra_headers_;
    std::string request_id_;
    std::string_view stream_probe_;  // set while a stream is between two chunks
    bool ended_ = false;
    unsigned status_ = 0;
};

/// Is it another SutazAI that asks what models there are? It hears of those that this server has itself, so that names
/// do not go round between servers that ask each other.
[[nodiscard]] bool comes_from_a_sutazai(const Exchange& exchange);

}  // namespace sutazai::http
