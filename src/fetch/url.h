#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

/// http and https URLs, read by libcurl's own parser, so that what is checked is what is connected to. Pure.
namespace sutazai::fetch {

struct Url {
    std::string scheme;  ///< "http" or "https"
    std::string host;    ///< in small letters; IPv6 in brackets
    std::uint16_t port = 0;
    std::string path;   ///< begins with "/"
    std::string query;  ///< without "?"

    bool operator==(const Url&) const = default;

    /// host, and ":port" where it is not the scheme's own.
    [[nodiscard]] std::string authority() const;
    [[nodiscard]] std::string text() const;
    /// For messages and logs: without the query, which may hold a signature.
    [[nodiscard]] std::string shown() const;
    [[nodiscard]] bool is_secure() const { return scheme == "https"; }
    [[nodiscard]] bool has_origin_of(const Url& other) const {
        return scheme == other.scheme && host == other.host && port == other.port;
    }
};

/// kInvalidArgument for what is no such URL, and for one that carries a user's name or password.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

/// What a Location header at `base` leads to.
[[nodiscard]] Result<Url> resolve_url(const Url& base, std::string_view reference);

}  // namespace sutazai::fetch
