#include "api/error_names.h"

namespace sutazai::api {

const char* code_name(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument: return "invalid_argument";
        case ErrorCode::kUnauthorized: return "invalid_api_key";
        case ErrorCode::kForbidden: return "forbidden";
        case ErrorCode::kNotFound: return "not_found";
        case ErrorCode::kMethodNotAllowed: return "method_not_allowed";
        case ErrorCode::kPayloadTooLarge: return "payload_too_large";
        case ErrorCode::kUnsupportedMedia: return "unsupported_media_type";
        case ErrorCode::kContextOverflow: return "context_length_exceeded";
        case ErrorCode::kQueueFull: return "queue_full";
        case ErrorCode::kQueueTimeout: return "queue_timeout";
        case ErrorCode::kUnavailable: return "unavailable";
        case ErrorCode::kLoadFailed: return "load_failed";
        case ErrorCode::kEngineDied: return "engine_died";
        case ErrorCode::kUpstreamFailed: return "upstream_failed";
        case ErrorCode::kUpstreamTimeout: return "upstream_timeout";
        case ErrorCode::kCancelled: return "cancelled";
        case ErrorCode::kInternal: return "internal_error";
    }
    return "internal_error";
}

const char* openai_type(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kMethodNotAllowed:
        case ErrorCode::kPayloadTooLarge:
        case ErrorCode::kUnsupportedMedia:
        case ErrorCode::kContextOverflow: return "invalid_request_error";
        case ErrorCode::kUnauthorized: return "authentication_error";
        case ErrorCode::kForbidden: return "permission_error";
        case ErrorCode::kNotFound: return "not_found_error";
        case ErrorCode::kQueueFull: return "rate_limit_error";
        case ErrorCode::kQueueTimeout:
        case ErrorCode::kUnavailable:
        case ErrorCode::kLoadFailed:
        case ErrorCode::kEngineDied:
        case ErrorCode::kUpstreamFailed:
        case ErrorCode::kUpstreamTimeout:
        case ErrorCode::kCancelled:
        case ErrorCode::kInternal: return "server_error";
    }
    return "server_error";
}

const char* anthropic_type(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kMethodNotAllowed:
        case ErrorCode::kUnsupportedMedia:
        case ErrorCode::kContextOverflow: return "invalid_request_error";
        case ErrorCode::kUnauthorized: return "authentication_error";
        case ErrorCode::kForbidden: return "permission_error";
        case ErrorCode::kNotFound: return "not_found_error";
        case ErrorCode::kPayloadTooLarge: return "request_too_large";
        case ErrorCode::kQueueFull:
        case ErrorCode::kUnavailable: return "overloaded_error";
        case ErrorCode::kQueueTimeout:
        case ErrorCode::kUpstreamTimeout: return "timeout_error";
        case ErrorCode::kLoadFailed:
        case ErrorCode::kEngineDied:
        case ErrorCode::kUpstreamFailed:
        case ErrorCode::kCancelled:
        case ErrorCode::kInternal: return "api_error";
    }
    return "api_error";
}

}  // namespace sutazai::api
