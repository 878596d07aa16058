#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sutazai::fetch {

/// What a WWW-Authenticate header asks for (RFC 7235).
struct Challenge {
    std::string scheme;                             ///< in small letters: "bearer", "basic"
    std::map<std::string, std::string> parameters;  ///< names in small letters

    [[nodiscard]] std::string parameter(const std::string& name) const;
};

/// The first challenge of the header that is Bearer with a realm, or Basic. Nothing when there is none, or when it
/// cannot be read. Pure.
[[nodiscard]] std::optional<Challenge> parse_challenge(std::string_view header);

}  // namespace sutazai::fetch
