#include "fetch/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace sutazai::fetch {
namespace {

using Bytes4 = std::array<std::uint8_t, 4>;
using Bytes16 = std::array<std::uint8_t, 16>;

template <std::size_t N>
struct Block {
    std::array<std::uint8_t, N> start;
    unsigned bits;
};

template <std::size_t N>
bool is_in(const Block<N>& block, const std::array<std::uint8_t, N>& address) {
    for (unsigned bit = 0; bit < block.bits; ++bit) {
        const unsigned mask = 0x80U >> (bit % 8);
        if (((block.start.at(bit / 8) ^ address.at(bit / 8)) & mask) != 0) return false;
    }
    return true;
}

// IANA's registries of special-purpose addresses.
constexpr Block<4> kSpecialV4[] = {
    {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},     {{100, 64, 0, 0}, 10}, {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12},  {{192, 0, 0, 0}, 24},  {{192, 0, 2, 0}, 24},
    {{192, 88, 99, 0}, 24}, {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15}, {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24}, {{224, 0, 0, 0}, 4},    {{240, 0, 0, 0}, 4},
};
constexpr Block<16> kMapped{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Block<16> kNat64{{0, 0x64, 0xff, 0x9b}, 96};
constexpr Block<16> k6To4{{0x20, 0x02}, 16};
constexpr Block<16> kGlobalV6{{0x20}, 3};
constexpr Block<16> kSpecialV6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23},  // Teredo and others
    {{0x20, 0x01, 0x0d, 0xb8}, 32},
    {{0x3f, 0xff, 0x00, 0x00}, 20},
};

bool is_public(const Bytes4& address) {
    return std::ranges::none_of(kSpecialV4, [&](const Block<4>& block) { return is_in(block, address); });
}

bool is_public(const Bytes16& address) {
    const auto v4_at = [&](std::size_t at) {
        return Bytes4{address.at(at), address.at(at + 1), address.at(at + 2), address.at(at + 3)};
    };
    if (is_in(kMapped, address) || is_in(kNat64, address)) return is_public(v4_at(12));
    if (is_in(k6To4, address)) return is_public(v4_at(2));
    return is_in(kGlobalV6, address) &&
           std::ranges::none_of(kSpecialV6, [&](const Block<16>& block) { return is_in(block, address); });
}

}  // namespace

bool is_public_address(const sockaddr& address) {
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        Bytes4 bytes{};
        std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
        return is_public(bytes);
    }
    if (address.sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        Bytes16 bytes{};
        std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
        return is_public(bytes);
    }
    return false;
}

std::optional<bool> is_public_literal(const std::string& host) {
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    std::string bare = bracketed ? host.substr(1, host.size() - 2) : host;
    bare.resize(std::min(bare.size(), bare.find('%')));  // an interface's name
    Bytes4 v4{};
    if (inet_pton(AF_INET, bare.c_str(), v4.data()) == 1) return is_public(v4);
    Bytes16 v6{};
    if (inet_pton(AF_INET6, bare.c_str(), v6.data()) == 1) return is_public(v6);
    return std::nullopt;
}

}  // namespace sutazai::fetch
