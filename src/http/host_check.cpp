#include "http/host_check.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sutazai::http {

namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool is_ip_v4(const std::string& name) {
    in_addr address{};
    return inet_pton(AF_INET, name.c_str(), &address) == 1;
}

bool is_ip_v6(const std::string& name) {
    in6_addr address{};
    return inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

struct Authority {
    std::string name;  // in lower case; an IPv6 address without its brackets
    std::string port;  // may be empty
};

/// host, host:port, [v6] or [v6]:port; nothing when it is none of them.
std::optional<Authority> parse_authority(std::string_view text) {
    Authority authority;
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return {};
        authority.name = lower(text.substr(1, end - 1));
        if (!is_ip_v6(authority.name)) return {};
        port = text.substr(end + 1);
    } else {
        const std::size_t colon = text.find(':');
        authority.name = lower(text.substr(0, colon));
        if (colon != std::string_view::npos) port = text.substr(colon);
        const bool plain = std::ranges::all_of(authority.name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        });
        if (!plain || authority.name.empty()) return {};
        if (authority.name.size() > 1 && authority.name.ends_with('.')) authority.name.pop_back();
    }
    if (!port.empty()) {
        if (!port.starts_with(':')) return {};
        port.remove_prefix(1);
        if (port.size() > 5 || !std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) return {};
        authority.port = port;
    }
    return authority;
}

bool is_loopback(const Authority& authority) {
    return authority.name == "localhost" || authority.name == "::1" ||
           (authority.name.starts_with("127.") && is_ip_v4(authority.name));
}

std::string normal_origin(std::string_view origin) {
    while (origin.ends_with('/')) origin.remove_suffix(1);
    return lower(origin);
}

}  // namespace

HostCheck::HostCheck(const config::Settings& settings) {
    const auto add = [this](std::string_view entry) {
        // An IPv6 address may be written bare in a setting; in a Host header it has brackets.
        std::string name = lower(entry);
        hosts_.push_back(is_ip_v6(name) ? "[" + name + "]" : std::move(name));
    };
    any_ip_literal_ = settings.host == "0.0.0.0" || settings.host == "::" || settings.host == "[::]";
    if (!any_ip_literal_) add(settings.host);
    for (const std::string& host : settings.allowed_hosts) add(host);
    for (const std::string& origin : settings.allowed_origins) {
        if (origin == "*") any_origin_ = true;
        origins_.push_back(normal_origin(origin));
    }
}

Result<void> HostCheck::check_host(std::string_view host) const {
    const std::optional<Authority> authority = parse_authority(host);
    if (!authority) return fail(ErrorCode::kInvalidArgument, "The Host header is missing or malformed.", "Host");
    const auto& [name, port] = *authority;
    const bool v6 = is_ip_v6(name);
    if (is_loopback(*authority)) return {};
    if (any_ip_literal_ && (v6 || is_ip_v4(name))) return {};
    const std::string plain = v6 ? "[" + name + "]" : name;
    const std::string with_port = fmt::format("{}:{}", plain, port);
    for (const std::string& allowed : hosts_) {
        if (allowed == plain || allowed == with_port) return {};
    }
    return fail(ErrorCode::kForbidden,
                fmt::format("The host name {} is not one of this server's; name it in ALLOWED_HOSTS if it should be.",
                            plain.size() <= 80 ? plain : "in the request"),
                "Host");
}

Result<void> HostCheck::check_origin(std::string_view origin, std::string_view host) const {
    if (origin.empty() || is_listed_origin(origin)) return {};
    const std::size_t scheme = origin.find("://");
    if (scheme != std::string_view::npos) {
        // https may end at a proxy before this server, so the scheme is not compared.
        if (lower(origin.substr(scheme + 3)) == lower(host)) return {};
    }
    return fail(ErrorCode::kForbidden,
                "Requests of pages from this origin are not allowed; name it in ALLOWED_ORIGINS if they should be.",
                "Origin");
}

bool HostCheck::is_listed_origin(std::string_view origin) const {
    return !origin.empty() && (any_origin_ || std::ranges::find(origins_, normal_origin(origin)) != origins_.end());
}

}  // namespace sutazai::http
