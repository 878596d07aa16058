#include "http/gate.h"

#include <fmt/format.h>

#include <algorithm>

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

/// Ollama's documents say `curl -d`, which calls everything a form; what a web page may do is a matter of its Origin.
bool may_be_json(std::string_view content_type, Family family) {
    return is_json_type(content_type) ||
           (family == Family::kOllama && content_type.starts_with("application/x-www-form-urlencoded"));
}

/// Of paths that two families have the request says which it means.
Family family_of(const Match& match, const Request& request) {
    const bool is_shared = match.route == nullptr || match.route->path.starts_with("/v1/models");
    const bool is_anthropics = is_shared && match.family == Family::kOpenAi && !request.anthropic_version.empty();
    return is_anthropics ? Family::kAnthropic : match.family;
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
    exchange.set_family(family_of(match, request));
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
        exchange.add_header("Access-Control-Expose-Headers", "X-Request-Id");
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
        exchange.caller.admin = services.auth.required() ? caller->admin : exchange.from_this_machine;
        exchange.caller.tenant = std::move(caller->tenant);
        exchange.caller.via = request.via;
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
    if (match.route->method == Method::kPost && !match.route->streams && !request.content_type.empty() &&
        !may_be_json(request.content_type, match.family)) {
        return fail(ErrorCode::kUnsupportedMedia, "The body must be JSON: send 'Content-Type: application/json'.",
                    "Content-Type");
    }
    if (auto supported = check_content_encoding(request.content_encoding); request.has_body && !supported) {
        exchange.add_header("Accept-Encoding", "gzip");
        return std::unexpected(std::move(supported.error()));
    }
    return match.route;
}

Result<void> require_admin(const Services& services, const Exchange& exchange, std::string_view what,
                           std::string field) {
    if (exchange.caller.admin) return {};
    return fail(
        ErrorCode::kForbidden,
        services.auth.required()
            ? fmt::format("{} needs an administrator's key: one of ADMIN_API_KEYS.", what)
            : fmt::format("{} is for callers on the server's own machine, or with a key of ADMIN_API_KEYS.", what),
        std::move(field));
}

}  // namespace sutazai::http
