#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

/// Where another server is that serves models for this one. Pure.
namespace sutazai {

/// What an upstream speaks.
enum class UpstreamKind : std::uint8_t { kOllama, kOpenAi, kSutazai };
[[nodiscard]] const char* to_string(UpstreamKind kind);

/// "ollama+http://gpu:11434", "openai+https://api.example.org/v1", "sutazai+http://[::1]:8080".
struct UpstreamAddress {
    UpstreamKind kind = UpstreamKind::kOllama;
    bool tls = false;
    std::string host;  ///< without the brackets of IPv6
    std::uint16_t port = 0;
    std::string path;  ///< in front of the routes: empty, or "/..." without "/" at the end

    bool operator==(const UpstreamAddress&) const = default;
    /// As it is written, with the port where it is not the scheme's own.
    [[nodiscard]] std::string text() const;
    /// For Host: and messages.
    [[nodiscard]] std::string authority() const;
};

/// The kind, "+" and an http or https URL that holds no user, query or fragment. Of kind openai the path is where the
/// routes begin, "/v1" where none is given. The error's message is what is allowed, to follow "must be".
[[nodiscard]] Result<UpstreamAddress> parse_upstream(std::string_view text);

}  // namespace sutazai
