#include "http/host_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/url/authority_view.hpp>
#include <boost/url/ipv6_address.hpp>
#include <boost/url/parse.hpp>

namespace sutazai::http {

namespace urls = boost::urls;

namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool is_plain(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

}  // namespace

/// host, host:port, [v6] or [v6]:port; nothing when it is none of them, or allowed by RFC 3986 and yet no name of a
/// host.
std::optional<HostCheck::Authority> HostCheck::parse_authority(std::string_view text) {
    auto parsed = urls::parse_authority(text);
    // Boost 1.81 takes 10.1.2.3.example for an address with something wrong behind it; behind a letter it is a name.
    const std::string as_name = fmt::format("x{}", text);
    const bool begins_as_address = !parsed && !text.empty() && text.front() >= '0' && text.front() <= '9';
    if (begins_as_address) parsed = urls::parse_authority(as_name);
    if (!parsed || parsed->has_userinfo() || parsed->port().size() > 5) return {};
    Authority out{.port = std::string(std::string_view(parsed->port()))};
    const auto take_address = [&out](const auto& address) {
        out.name = address.to_string();
        out.is_ip = true;
        out.is_loopback = address.is_loopback();
        return out;
    };
    switch (parsed->host_type()) {
        case urls::host_type::ipv4: return take_address(parsed->host_ipv4_address());
        case urls::host_type::ipv6: return take_address(parsed->host_ipv6_address());
        case urls::host_type::name: break;
        default: return {};
    }
    out.name = lower(std::string_view(parsed->encoded_host())).substr(begins_as_address ? 1 : 0);
    if (!is_plain(out.name)) return {};
    if (out.name.size() > 1 && out.name.ends_with('.')) out.name.pop_back();
    out.is_loopback = out.name == "localhost";
    return out;
}

/// scheme://host[:port]; what is none ("null", "*"), in lower case.
std::string HostCheck::normal_origin(std::string_view origin) {
    while (origin.ends_with('/')) origin.remove_suffix(1);
    const auto authority = authority_of(origin);
    if (!authority) return lower(origin);
    return fmt::format("{}://{}:{}", lower(origin.substr(0, origin.find("://"))), authority->name, authority->port);
}

std::optional<HostCheck::Authority> HostCheck::authority_of(std::string_view origin) {
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos) return {};
    return parse_authority(origin.substr(scheme + 3));
}

HostCheck::HostCheck(const config::Settings& settings) {
    const auto add = [this](std::string_view entry) {
        // An IPv6 address may be written bare in a setting; in a Host header it has brackets.
        const auto bare = urls::parse_ipv6_address(entry);
        const auto host = parse_authority(bare ? fmt::format("[{}]", entry) : std::string(entry));
        if (host) hosts_.push_back(*host);
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
    if (authority->is_loopback || (any_ip_literal_ && authority->is_ip)) return {};
    for (const Authority& allowed : hosts_) {
        if (allowed.name == authority->name && (allowed.port.empty() || allowed.port == authority->port)) return {};
    }
    return fail(ErrorCode::kForbidden,
                fmt::format("The host name {} is not one of this server's; name it in ALLOWED_HOSTS if it should be.",
                            authority->name.size() <= 80 ? authority->name : "in the request"),
                "Host");
}

Result<void> HostCheck::check_origin(std::string_view origin, std::string_view host) const {
    if (origin.empty() || is_listed_origin(origin)) return {};
    // https may end at a proxy before this server, so the scheme is not compared.
    if (const auto from = authority_of(origin); from && from == parse_authority(host)) return {};
    return fail(ErrorCode::kForbidden,
                "Requests of pages from this origin are not allowed; name it in ALLOWED_ORIGINS if they should be.",
                "Origin");
}

bool HostCheck::is_listed_origin(std::string_view origin) const {
    return !origin.empty() && (any_origin_ || std::ranges::find(origins_, normal_origin(origin)) != origins_.end());
}

}  // namespace sutazai::http
