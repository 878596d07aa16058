#include "http/status.h"

namespace sutazai::http {

unsigned http_status(ErrorCode code, Family family) {
    switch (code) {
        case ErrorCode::kInvalidArgument: return family == Family::kStreamingV1 ? 422 : 400;
        case ErrorCode::kContextOverflow: return 400;
        case ErrorCode::kUnauthorized: return 401;
        case ErrorCode::kForbidden: return 403;
        case ErrorCode::kNotFound: return 404;
        case ErrorCode::kMethodNotAllowed: return 405;
        case ErrorCode::kQueueTimeout: return 408;
        case ErrorCode::kPayloadTooLarge: return 413;
        case ErrorCode::kUnsupportedMedia: return 415;
        case ErrorCode::kQueueFull: return family == Family::kAnthropic ? 529 : 429;
        case ErrorCode::kInternal: return 500;
        case ErrorCode::kEngineDied:
        case ErrorCode::kUpstreamFailed: return 502;
        case ErrorCode::kUpstreamTimeout: return 504;
        case ErrorCode::kUnavailable:
        case ErrorCode::kLoadFailed:
        case ErrorCode::kCancelled: return 503;
    }
    return 500;
}

std::string_view reason_phrase(unsigned status) {
    switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 204: return "No Content";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 413: return "Payload Too Large";
        case 415: return "Unsupported Media Type";
        case 422: return "Unprocessable Entity";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 529: return "Overloaded";
        default: return "Unknown";
    }
}

int retry_after_s(const Error& error) {
    if (error.retry_after_s > 0) return error.retry_after_s;
    return error.code == ErrorCode::kQueueFull ? 1 : 0;
}

}  // namespace sutazai::http
