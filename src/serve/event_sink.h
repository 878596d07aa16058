#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/error.h"

namespace sutazai::serve {

/// Where a streamed answer goes: a connection, a file, a test's string. Its first use begins the answer; what is
/// refused before that is told some other way.
class EventSink {
  public:
    virtual ~EventSink() = default;

    [[nodiscard]] virtual std::string& buffer() = 0;  ///< formats append to it, and nothing else
    /// Hands on what is in the buffer. kCancelled when nobody takes it any more.
    [[nodiscard]] virtual boost::asio::awaitable<Result<void>> flush() = 0;
    /// The same, and ends the answer properly.
    [[nodiscard]] virtual boost::asio::awaitable<Result<void>> finish() = 0;
};

}  // namespace sutazai::serve
