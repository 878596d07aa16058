#include "fetch/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/digest.h"
#include "catalog/ollama_name.h"
#include "fetch/address.h"

namespace sutazai::fetch {
namespace {

bool is_listed_as(std::string_view entry, const Url& url) {
    const std::string small = catalog::in_small_letters(entry);
    return small == url.authority() || small == fmt::format("{}:{}", url.host, url.port);
}

/// What to think of, for an address whose port has to be listed.
std::string with_port(const Url& url) {
    if (url.authority() == url.host) return {};
    return fmt::format("; a list names this port with the host, as {}, or it means the scheme's own", url.authority());
}

/// Credentials for a host without a port are never sent in plain words.
bool is_meant_for(const std::string& entry, const Url& url) {
    return is_listed_as(entry, url) && (url.is_secure() || entry.ends_with(fmt::format(":{}", url.port)));
}

/// Of a NO_PROXY entry: the host itself, or one below it.
bool is_below(std::string_view host, std::string_view entry) {
    if (entry.starts_with('.')) entry.remove_prefix(1);
    if (entry.empty() || !host.ends_with(entry)) return false;
    return host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.';
}

}  // namespace

std::string Proxies::for_url(const Url& url) const {
    std::string_view rest = none;
    while (!rest.empty()) {
        const auto end = std::min(rest.size(), rest.find_first_of(", "));
        const std::string entry = catalog::in_small_letters(rest.substr(0, end));
        rest.remove_prefix(std::min(rest.size(), end + 1));
        if (entry == "*" || is_below(url.host, entry) || entry == url.authority()) return {};
        if (url.host.starts_with('[') && url.host == "[" + entry + "]") return {};
    }
    const std::string& own = url.is_secure() ? https : http;
    return own.empty() ? all : own;
}

bool is_listed(const std::vector<std::string>& hosts, const Url& url) {
    return std::ranges::any_of(hosts, [&](const std::string& entry) { return is_listed_as(entry, url); });
}

bool Access::allows_private(const Url& url) const {
    if (is_listed(private_hosts, url) || (named_is_private && is_listed_as(named, url))) return true;
    return std::ranges::any_of(mirrors, [&](const auto& mirror) { return mirror.second.has_origin_of(url); });
}

Result<void> Access::check_address(const Url& url) const {
    // Of a name the address is looked at when the connection is made.
    const auto literal = is_public_literal(url.host);
    if (literal && !*literal && !allows_private(url)) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} is a private address; only hosts of PULL_PRIVATE_HOSTS may have one{}",
                                url.authority(), with_port(url)));
    }
    return {};
}

Result<void> Access::check_start(const Url& url) const {
    const bool is_mirror =
        std::ranges::any_of(mirrors, [&](const auto& mirror) { return mirror.second.has_origin_of(url); });
    const bool is_private = allows_private(url);
    const bool is_known = is_mirror || is_private || is_listed_as(named, url) || is_listed(hosts, url) ||
                          std::ranges::find(hosts, "*") != hosts.end();
    if (!is_known) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} is none of the hosts of PULL_HOSTS{}", url.authority(), with_port(url)));
    }
    if (!url.is_secure() && !is_mirror && !insecure) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} is asked over plain http only with \"insecure\" (--insecure)", url.authority()));
    }
    return check_address(url);
}

Result<void> Access::check_redirect(const Url& from, const Url& to) const {
    const bool may_be_plain = allows_private(to) || (!from.is_secure() && from.has_origin_of(to));
    if (!to.is_secure() && !may_be_plain) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} redirects to {}, which is plain http", from.authority(), to.authority()));
    }
    if (auto checked = check_address(to); !checked) {
        return fail(ErrorCode::kForbidden,
                    fmt::format("{} redirects to {}: {}", from.authority(), to.authority(), checked.error().message));
    }
    return {};
}

std::string Access::basic_for(const Url& url) const {
    for (const auto& [host, credentials] : basic) {
        if (is_meant_for(host, url)) return "Basic " + to_base64(std::as_bytes(std::span(credentials)));
    }
    return {};
}

std::string Access::bearer_for(const Url& url) const {
    for (const auto& [host, token] : bearer) {
        if (is_meant_for(host, url)) return "Bearer " + token;
    }
    return {};
}

Result<std::map<std::string, Url>> parse_mirrors(const std::vector<std::string>& pairs) {
    std::map<std::string, Url> out;
    for (const std::string& pair : pairs) {
        const auto equals = pair.find('=');
        if (equals == 0 || equals == std::string::npos) {
            return fail(ErrorCode::kInvalidArgument, "host=url, several separated by commas");
        }
        const auto url = parse_url(pair.substr(equals + 1));
        if (!url || !url->query.empty() || url->path != "/") {
            return fail(ErrorCode::kInvalidArgument, "host=url, with an http or https URL that has no path");
        }
        out[catalog::in_small_letters(pair.substr(0, equals))] = *url;
    }
    return out;
}

Result<std::map<std::string, std::string>> parse_registry_auth(const std::vector<std::string>& pairs) {
    std::map<std::string, std::string> out;
    for (const std::string& pair : pairs) {
        const auto equals = pair.find('=');
        const auto colon = equals == std::string::npos ? equals : pair.find(':', equals);
        const bool is_plain = std::ranges::all_of(pair, [](char c) { return c >= ' ' && c != '\x7f'; });
        if (equals == 0 || colon == std::string::npos || !is_plain) {
            return fail(ErrorCode::kInvalidArgument, "host=user:password");
        }
        out[catalog::in_small_letters(pair.substr(0, equals))] = pair.substr(equals + 1);
    }
    return out;
}

}  // namespace sutazai::fetch
