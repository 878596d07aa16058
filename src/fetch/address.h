#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

/// Which addresses a name on the internet may stand for. Pure.
namespace sutazai::fetch {

/// Is it of the public internet? Not loopback, private, link-local, shared (100.64/10), documentation, multicast or
/// reserved; IPv6 only of 2000::/3 without its special parts, and forms that carry an IPv4 address (mapped, NAT64,
/// 6to4) as that address. False for families other than IPv4 and IPv6.
[[nodiscard]] bool is_public_address(const sockaddr& address);

/// The same for a host that is written as an address, "[::1]" with or without brackets; nothing for a name.
[[nodiscard]] std::optional<bool> is_public_literal(const std::string& host);

}  // namespace sutazai::fetch
