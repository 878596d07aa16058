#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/settings.h"

namespace sutazai::http {

/// Keeps web pages of other sites out of a server on this machine (DNS rebinding, CVE-2024-28224; cross-site requests).
///
/// Host must be a loopback name (localhost, 127.0.0.0/8, [::1]), the configured HOST or one of ALLOWED_HOSTS, with any
/// port (or just the one that an ALLOWED_HOSTS entry names). When bound to a wildcard address any IP literal passes as
/// well: a rebound name is never an IP literal. Origin, if sent, must be the Host itself or one of ALLOWED_ORIGINS
/// ("*": any). Immutable.
class HostCheck {
  public:
    explicit HostCheck(const config::Settings& settings);

    /// kForbidden when the Host header is on no list, kInvalidArgument when it is malformed.
    [[nodiscard]] Result<void> check_host(std::string_view host) const;

    /// kForbidden when `origin` is neither empty, nor the same as `host`, nor listed.
    [[nodiscard]] Result<void> check_origin(std::string_view origin, std::string_view host) const;

    /// Is `origin` to be told that it may read answers (CORS)?
    [[nodiscard]] bool is_listed_origin(std::string_view origin) const;

  private:
    struct Authority {
        std::string name;  // in lower case; an IP address in its shortest form, without brackets
        std::string port;  // may be empty
        bool is_ip = false;
        bool is_loopback = false;

        bool operator==(const Authority&) const = default;
    };
    [[nodiscard]] static std::optional<Authority> parse_authority(std::string_view text);
    [[nodiscard]] static std::optional<Authority> authority_of(std::string_view origin);
    [[nodiscard]] static std::string normal_origin(std::string_view origin);

    std::vector<Authority> hosts_;      // without a port: with any
    std::vector<std::string> origins_;  // as normal_origin() writes them
    bool any_ip_literal_ = false;
    bool any_origin_ = false;
};

}  // namespace sutazai::http
