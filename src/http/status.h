#pragma once

#include <string_view>

#include "base/error.h"
#include "http/family.h"

namespace sutazai::http {

/// The one place where an error becomes an HTTP status.
///
///     kInvalidArgument 400 (422 in streaming_v1, as FastAPI's clients expect)    kContextOverflow 400
///     kUnauthorized 401    kForbidden 403    kNotFound 404    kMethodNotAllowed 405    kQueueTimeout 408
///     kPayloadTooLarge 413    kUnsupportedMedia 415    kQueueFull 429 (529 in Anthropic's family)    kInternal 500
///     kEngineDied, kUpstreamFailed 502    kUpstreamTimeout 504
///     kUnavailable, kLoadFailed, kCancelled (by the server; a client that cancels sees nothing) 503
[[nodiscard]] unsigned http_status(ErrorCode code, Family family);

/// "Not Found" for 404; "Unknown" for a status that this server never sends.
[[nodiscard]] std::string_view reason_phrase(unsigned status);

/// Seconds for the Retry-After header; 0: none. What the error itself says goes first.
[[nodiscard]] int retry_after_s(const Error& error);

}  // namespace sutazai::http
