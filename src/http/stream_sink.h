#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/exchange.h"
#include "serve/event_sink.h"

namespace sutazai::http {

/// What a streamed answer is made of.
struct StreamType {
    std::string_view content_type;
    /// Bytes that readers pass over between two pieces of the answer, and the same as a chunk.
    std::string_view probe;
    std::string_view probe_chunk;
};
/// A line that begins with a colon is a comment.
inline constexpr StreamType kServerSentEvents{"text/event-stream", ":\n\n", "3\r\n:\n\n\r\n"};
/// JSON objects, one a line. A blank before one changes nothing; an empty line is an error to most clients.
inline constexpr StreamType kNdjson{"application/x-ndjson", " ", "1\r\n \r\n"};

/// A 200 answer in pieces, begun by the first use. flush() sends what is in the buffer as one chunk and in one write,
/// the first together with the response's head. The buffer's memory is reused over the stream. Towards an HTTP/1.0
/// client nothing is chunked, and the end of the connection ends the stream.
class StreamSink final : public serve::EventSink {
  public:
    StreamSink(Exchange& exchange, const StreamType& type)
        : exchange_(exchange), type_(type), chunked_(exchange.request().http_1_1) {}

    [[nodiscard]] std::string& buffer() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> flush() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish() override;

  private:
    void begin();
    void begin_chunk();
    void end_chunk();

    Exchange& exchange_;
    const StreamType& type_;
    std::string buffer_;
    std::size_t chunk_start_ = 0;  // of the payload in buffer_
    bool begun_ = false;
    bool chunked_;
};

}  // namespace sutazai::http
