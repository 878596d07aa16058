#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sutazai::serve {

/// Whose request it is (docs/decisions/0015-keys-and-administrators.md).
struct Caller {
    std::string tenant = {};  ///< made from their API key; empty where none is asked for
    bool admin = false;       ///< may change what others have
    std::string via = {};     ///< servers that the request came through
    bool background = false;  ///< nobody waits for the answer: it makes way for others (foreground.h)
    // Of the request.
    std::string request_id = {};   ///< as the answer's X-Request-Id says it; empty: it gets one
    std::string traceparent = {};  ///< W3C's header, well-formed; may be empty
    std::string_view route = {};   ///< of the server's table
    std::optional<std::chrono::steady_clock::time_point> arrived = {};  ///< when its head had come; unset: now
};

}  // namespace sutazai::serve
