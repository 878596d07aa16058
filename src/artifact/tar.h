#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "artifact/hash.h"
#include "base/error.h"

/// The one kind of tar entry that exported artifacts are made of (POSIX ustar, a plain file). Pure; any thread.
///
/// Everything in a header follows from name and size (owner 0, mode 0600, time 0), and a reader takes nothing else:
/// so a changed bit anywhere in it is noticed although tar's own checksum is a plain sum.
namespace sutazai::artifact {

inline constexpr std::size_t kTarBlockBytes = 512;
inline constexpr std::size_t kMostTarNameBytes = 99;
inline constexpr std::uint64_t kMostTarSize = (1ULL << 33U) - 1;  ///< eleven octal digits

using TarHeader = std::array<std::byte, kTarBlockBytes>;

struct TarEntry {
    std::string name;
    std::uint64_t size = 0;
};

/// `name` has 1 to kMostTarNameBytes bytes, `size` is at most kMostTarSize.
[[nodiscard]] TarHeader tar_header(std::string_view name, std::uint64_t size);

/// kLoadFailed for anything that tar_header() does not make.
[[nodiscard]] Result<TarEntry> parse_tar_header(const TarHeader& header);

/// Zeros after a content of `size` bytes, to the next block.
[[nodiscard]] constexpr std::size_t tar_padding(std::uint64_t size) {
    return static_cast<std::size_t>((kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes);
}

}  // namespace sutazai::artifact
