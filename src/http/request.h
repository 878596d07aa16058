#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/held_body.h"

namespace sutazai::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions, kOther };

[[nodiscard]] Method method_from(std::string_view name);
[[nodiscard]] std::string_view to_string(Method method);

/// One request as handlers see it: the few headers that matter here, copied out of the parser. Empty means not sent.
struct Request {
    Method method = Method::kOther;
    std::string path;   ///< percent-encoded, without the query
    std::string query;  ///< without the '?'
    HeldBody body;
    std::string request_id, traceparent, accept;  ///< as they came
    std::string accept_encoding, if_none_match;
    std::string host, origin, authorization, api_key, anthropic_version, content_type, content_encoding, via;
    std::string requested_method, requested_headers;  ///< Access-Control-Request-*, of a CORS preflight
    bool http_1_1 = true;                             ///< false: HTTP/1.0, which knows no chunks
    bool has_body = false;                            ///< Content-Length above 0, or chunked
};

/// Splits a request target ("/path?query" or "http://host/path?query") into path, query and, if it has one, host.
/// False when it is neither, or holds what RFC 3986 does not allow in it.
[[nodiscard]] bool split_target(std::string_view target, Request& out);

/// %41 becomes A; a '%' that begins no such code stays.
[[nodiscard]] std::string percent_decoded(std::string_view text);

/// Is this Content-Type application/json, whatever its parameters?
[[nodiscard]] bool is_json_type(std::string_view content_type);

}  // namespace sutazai::http
