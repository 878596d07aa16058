#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace sutazai {

/// What went wrong, in terms that every API family can translate. One function (http/status.h) maps a code to an HTTP
/// status and a body; nothing else decides on statuses.
enum class ErrorCode : std::uint8_t {
    kInvalidArgument,   ///< a value is malformed or out of range; `field` names it
    kUnauthorized,      ///< no or a wrong API key
    kForbidden,         ///< Host or Origin is not on the list, or the feature is switched off
    kNotFound,          ///< no such route, model or file
    kMethodNotAllowed,  ///< the route exists, not with this method
    kPayloadTooLarge,   ///< body or header over its limit
    kUnsupportedMedia,  ///< body is not of a type that the route reads
    kContextOverflow,   ///< prompt and answer do not fit the model's context; the message holds the numbers
    kQueueFull,         ///< queue limit reached; try again after `retry_after_s`
    kQueueTimeout,      ///< waited longer in the queue than allowed
    kUnavailable,       ///< nothing can serve this now: loading, draining, backing off
    kLoadFailed,        ///< the model's file could not be loaded
    kEngineDied,        ///< the engine process ended while it worked on this request
    kUpstreamFailed,    ///< another server, which has the model, does not serve it
    kUpstreamTimeout,   ///< it says nothing in time
    kCancelled,         ///< the requester went away or cancelled
    kInternal,          ///< a bug or an exhausted machine
};

/// An error as a value. `message` is a plain sentence for the user; it never holds prompt text or keys.
struct Error {
    ErrorCode code = ErrorCode::kInternal;
    std::string message;
    std::string field = {};  ///< JSON field or setting that is at fault, if one is
    int retry_after_s = 0;   ///< seconds until a retry makes sense; 0 when unknown
};

template <typename T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message, std::string field = {}) {
    return std::unexpected(Error{code, std::move(message), std::move(field), 0});
}

}  // namespace sutazai
