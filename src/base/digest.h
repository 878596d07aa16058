#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// SHA-256, and bytes as text. By OpenSSL. Pure; any thread.
namespace sutazai {

using Bytes = std::span<const std::byte>;
using Digest = std::array<std::byte, 32>;  ///< of SHA-256

/// For unordered containers; the bytes are already evenly distributed.
struct DigestHash {
    std::size_t operator()(const Digest& digest) const {
        std::size_t value = 0;
        std::memcpy(&value, digest.data(), sizeof value);
        return value;
    }
};

/// SHA-256 of what is added piece by piece.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void add(Bytes bytes);
    void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
    /// Little-endian.
    void add_u32(std::uint32_t value);
    void add_u64(std::uint64_t value);
    /// Ends the sum; add nothing after it.
    [[nodiscard]] Digest finish();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Digest sha256(Bytes bytes);

[[nodiscard]] std::string to_hex(Bytes bytes);                              ///< lower case
[[nodiscard]] std::optional<Digest> digest_from_hex(std::string_view hex);  ///< 64 lower case digits, nothing else

/// With padding, on one line (RFC 4648).
[[nodiscard]] std::string to_base64(Bytes bytes);
/// The padding may be missing; nothing else may, and there is nothing between the characters.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace sutazai
