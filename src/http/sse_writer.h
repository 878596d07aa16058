#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <string>

#include "base/error.h"
#include "http/exchange.h"

namespace sutazai::http {

/// A 200 answer of Server-Sent Events. Encoders append to buffer(); flush() sends what is there as one chunk and in one
/// write, the first together with the response's head. The buffer's memory is reused over the stream. Towards an
/// HTTP/1.0 client nothing is chunked, and the end of the connection ends the stream.
class SseWriter {
  public:
    explicit SseWriter(Exchange& exchange);

    [[nodiscard]] std::string& buffer() { return buffer_; }  ///< only append to it
    [[nodiscard]] boost::asio::awaitable<Result<void>> flush();
    [[nodiscard]] boost::asio::awaitable<Result<void>> finish();  ///< flushes and ends the stream properly

  private:
    void begin_chunk();
    void end_chunk();

    Exchange& exchange_;
    std::string buffer_;
    std::size_t chunk_start_ = 0;  // of the payload in buffer_
    bool chunked_;
};

}  // namespace sutazai::http
