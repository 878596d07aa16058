#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sutazai::http {

/// Whose conventions a route follows: the shape of its errors and the statuses of a few of them.
enum class Family : std::uint8_t {
    kStreamingV1,  ///< /api/v1/... and everything that belongs to no family
    kOpenAi,       ///< /v1/..., and llama-server's own routes
    kOllama,       ///< /api/..., but /api/v1
    kAnthropic,    ///< /v1/messages..., and of /v1/... what is asked for with anthropic-version
};

/// For paths that match no route. A query behind the path does not count.
[[nodiscard]] Family family_of_path(std::string_view path);

/// The body that tells of `error` in the family's shape: JSON. `request_id` is in Anthropic's.
[[nodiscard]] std::string error_body(Family family, const Error& error, std::string_view request_id = {});

}  // namespace sutazai::http
