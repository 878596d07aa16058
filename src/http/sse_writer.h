#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>

#include "base/error.h"
#include "http/exchange.h"
#include "serve/event_sink.h"

namespace sutazai::http {

/// A 200 answer of Server-Sent Events, begun by the first use. flush() sends what is in the buffer as one chunk and in
/// one write, the first together with the response's head. The buffer's memory is reused over the stream. Towards an
/// HTTP/1.0 client nothing is chunked, and the end of the connection ends the stream.
class SseWriter final : public serve::EventSink {
  public:
    explicit SseWriter(Exchange& exchange) : exchange_(exchange), chunked_(exchange.request().http_1_1) {}

    [[nodiscard]] std::string& buffer() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> flush() override;
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish() override;

  private:
    void begin();
    void begin_chunk();
    void end_chunk();

    Exchange& exchange_;
    std::string buffer_;
    std::size_t chunk_start_ = 0;  // of the payload in buffer_
    bool begun_ = false;
    bool chunked_;
};

}  // namespace sutazai::http
