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

/// The two hash functions of cache artifacts. Pure; any thread.
///
/// SHA-256 wherever somebody could gain from a collision: names of chains (who writes prompts chooses what is hashed),
/// fingerprints, weights, and the whole of an exported file. XXH3 (128 bit), ten times as quick, where only chance is
/// the enemy: against flipped bits in payloads. Who can write into the artifact folder could recompute any unkeyed
/// hash.
namespace sutazai::artifact {

using Bytes = std::span<const std::byte>;
using Digest = std::array<std::byte, 32>;    ///< of SHA-256
using Checksum = std::array<std::byte, 16>;  ///< of XXH3, most significant byte first (XXH128_canonical)

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
[[nodiscard]] Checksum xxh3(Bytes bytes);

[[nodiscard]] std::string to_hex(Bytes bytes);                              ///< lower case
[[nodiscard]] std::optional<Digest> digest_from_hex(std::string_view hex);  ///< 64 lower case digits, nothing else

}  // namespace sutazai::artifact
