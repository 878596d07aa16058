#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// The names of requests: what X-Request-Id says, in and out.
namespace sutazai::serve {

inline constexpr std::size_t kMostRequestIdBytes = 128;

/// May it be taken over from whoever asks: 1 to kMostRequestIdBytes letters, digits and "-_.:/+=@"? It is sent back in
/// a header and stands in logs.
[[nodiscard]] bool is_request_id(std::string_view text);
/// Is it a value of W3C's header traceparent: version, trace, parent, flags, in lower case, neither of the ids all
/// zero?
[[nodiscard]] bool is_traceparent(std::string_view text);
/// "req_" and 24 hexadecimal digits, drawn at random. Any thread.
[[nodiscard]] std::string new_request_id();

}  // namespace sutazai::serve
