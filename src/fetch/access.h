#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/url.h"

/// Where a pull or push may go, and with which credentials. Pure.
namespace sutazai::fetch {

/// Proxies as the environment names them (curl's variables, in small or capital letters).
struct Proxies {
    std::string http, https, all;
    std::string none;  ///< NO_PROXY

    /// For a connection to `url`; empty for none.
    [[nodiscard]] std::string for_url(const Url& url) const;
};

/// Made of the settings. A host is "name", at its scheme's own port, or "name:port".
struct Access {
    std::vector<std::string> hosts;             ///< that may be named; "*": any
    std::vector<std::string> private_hosts;     ///< may be named, and have private addresses and plain http
    std::map<std::string, Url> mirrors;         ///< by host: where it is asked instead
    std::map<std::string, std::string> basic;   ///< by host: "user:password"
    std::map<std::string, std::string> bearer;  ///< by host: a token
    Proxies proxies;
    std::string ca_file;            ///< of certificates that are trusted; empty: the system's
    std::string named;              ///< a host that whoever started this may go to, whatever the lists say
    bool named_is_private = false;  ///< it may have private addresses, too
    bool insecure = false;          ///< plain http with the host that is named first

    [[nodiscard]] bool allows_private(const Url& url) const;
    /// May a pull or push begin there? kForbidden with what to change.
    [[nodiscard]] Result<void> check_start(const Url& url) const;
    /// May an answer of `from` send us there? Digests tell what comes, so any public host may be, over https.
    [[nodiscard]] Result<void> check_redirect(const Url& from, const Url& to) const;
    /// The Authorization header for `url` that needs no asking: "" where there is none.
    [[nodiscard]] std::string basic_for(const Url& url) const;
    [[nodiscard]] std::string bearer_for(const Url& url) const;

  private:
    [[nodiscard]] Result<void> check_address(const Url& url) const;
};

/// Is `url`'s host "name" or "name:port" of the list?
[[nodiscard]] bool is_listed(const std::vector<std::string>& hosts, const Url& url);

/// "host=url" pairs of PULL_MIRRORS. The error is what is allowed, to follow "must be".
[[nodiscard]] Result<std::map<std::string, Url>> parse_mirrors(const std::vector<std::string>& pairs);

/// "host=user:password" lines or pairs of REGISTRY_AUTH. kInvalidArgument, without what stood there.
[[nodiscard]] Result<std::map<std::string, std::string>> parse_registry_auth(const std::vector<std::string>& pairs);

}  // namespace sutazai::fetch
