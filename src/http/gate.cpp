#include "http/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "http/content_coding.h"

namespace sutazai::http {

namespace asio = boost::asio;

namespace {

/// Header names as they may stand in Access-Control-Allow-Headers; they are sent back, so nothing else may be in them.
bool is_header_list(std::string_view text) {
    return text.size() <= 1024 && std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '_' || c == ',' || c == ' ';
           });
}

asio::awaitable<Result<void>> answer_options(Services& /*services*/, Exchange& exchange) {
    co_return co_await exchange.send(204, "", "");
}

void add_preflight_headers(Exchange& exchange, const std::string& allowed) {
    const Request& request = exchange.request();
    exchange.add_header("Access-Control-Allow-Methods", allowed);
    if (!request.requested_headers.empty() && is_header_list(request.requested_headers)) {
        exchange.add_header("Access-Control-Allow-Headers", request.requested_headers);
    }
    exchange.add_header("Access-Control-Max-Age", "600");
}

}  // namespace

Result<const Route*> admit(const Services& services, Exchange& exchange) {
    const Request& request = exchange.request();
    Match match = services.router.match(request.method, request.path);
    exchange.family = match.family;
    exchange.parameter = std::move(match.parameter);

    // HTTP/1.0 has no Host; no browser speaks it.
    if (request.http_1_1 || !request.host.empty()) {
        if (auto allowed = services.hosts.check_host(request.host); !allowed) return std::unexpected(allowed.error());
    }
    if (auto allowed = services.hosts.check_origin(request.origin, request.host); !allowed) {
        return std::unexpected(allowed.error());
    }
    const bool cors = services.hosts.is_listed_origin(request.origin);
    if (cors) {
        exchange.add_header("Access-Control-Allow-Origin", request.origin);
        exchange.add_header("Vary", "Origin");
    }
    if (request.method == Method::kOptions && (!match.allowed.empty() || request.path == "*")) {
        // A preflight carries no key and reads nothing.
        static const Route options{Method::kOptions, "*", Family::kStreamingV1, answer_options, true};
        exchange.add_header("Allow", match.allowed.empty() ? "GET, HEAD, POST, OPTIONS" : match.allowed);
        if (cors && !request.requested_method.empty()) add_preflight_headers(exchange, match.allowed);
        return &options;
    }
    auto caller = services.auth.check(request.authorization, request.api_key);
    if (caller) {
        exchange.known = true;
        exchange.admin = services.auth.required() ? caller->admin : exchange.from_this_machine;
        exchange.tenant = std::move(caller->tenant);
    } else if (match.route == nullptr || !match.route->open) {
        return std::unexpected(std::move(caller.error()));
    }
    if (match.route == nullptr) {
        if (match.allowed.empty()) {
            return fail(ErrorCode::kNotFound, "There is no such route; GET /v1/models lists the models.");
        }
        exchange.add_header("Allow", match.allowed);
        return fail(ErrorCode::kMethodNotAllowed, fmt::format("This route takes {}.", match.allowed));
    }
    if (services.draining && !match.route->open) {
        return fail(ErrorCode::kUnavailable, "The server is shutting down.");
    }
    if (match.route->method == Method::kPost && !request.content_type.empty() && !is_json_type(request.content_type)) {
        return fail(ErrorCode::kUnsupportedMedia, "The body must be JSON: send 'Content-Type: application/json'.",
                    "Content-Type");
    }
    if (auto supported = check_content_encoding(request.content_encoding); !supported) {
        exchange.add_header("Accept-Encoding", "gzip");
        return std::unexpected(std::move(supported.error()));
    }
    return match.route;
}

Result<void> require_admin(const Services& services, const Exchange& exchange, std::string_view what,
                           std::string field) {
    if (exchange.admin) return {};
    return fail(
        ErrorCode::kForbidden,
        services.auth.required()
            ? fmt::format("{} needs an administrator's key: one of ADMIN_API_KEYS.", what)
            : fmt::format("{} is for callers on the server's own machine, or with a key of ADMIN_API_KEYS.", what),
        std::move(field));
}

Result<void> check_priority(const Exchange& exchange, int priority, std::string_view path) {
    if (exchange.admin || priority >= 0) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}priority must be between 0 and 1000 (got {}); below 0 it needs an administrator's key "
                            "(ADMIN_API_KEYS).",
                            path, priority),
                fmt::format("{}priority", path));
}

Result<void> check_keep_alive(const config::Settings& settings, const Exchange& exchange,
                              std::optional<KeepAlive> keep_alive) {
    if (exchange.admin || !keep_alive || *keep_alive == settings.model_keep_alive) return {};
    const KeepAlive least = std::chrono::minutes(1);
    const KeepAlive most = std::chrono::hours(24);
    if (*keep_alive >= least && *keep_alive <= most) return {};
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("keep_alive must be between {} and {}, or {} as MODEL_KEEP_ALIVE has it (got {}); others need "
                    "an administrator's key (ADMIN_API_KEYS).",
                    show_keep_alive(least), show_keep_alive(most), show_keep_alive(settings.model_keep_alive),
                    show_keep_alive(*keep_alive)),
        "keep_alive");
}

}  // namespace sutazai::http
