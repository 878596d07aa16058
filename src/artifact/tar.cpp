#include "artifact/tar.h"

#include <fmt/format.h>

#include <algorithm>

namespace sutazai::artifact {
namespace {

// Offsets of POSIX.1-1988 ustar.
constexpr std::size_t kSizeAt = 124;
constexpr std::size_t kSizeDigits = 11;
constexpr std::size_t kSumAt = 148;

void put(TarHeader& header, std::size_t at, std::string_view text) {
    std::ranges::copy(std::as_bytes(std::span(text)), header.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

TarHeader tar_header(std::string_view name, std::uint64_t size) {
    TarHeader header{};
    put(header, 0, name.substr(0, kMostTarNameBytes));
    put(header, 100, "0000600");
    put(header, 108, "0000000");
    put(header, 116, "0000000");
    put(header, kSizeAt, fmt::format("{:0{}o}", size, kSizeDigits));
    put(header, 136, "00000000000");
    put(header, kSumAt, "        ");
    put(header, 156, "0");
    put(header, 257, "ustar");
    put(header, 263, "00");
    unsigned sum = 0;
    for (const std::byte byte : header) sum += std::to_integer<unsigned>(byte);
    put(header, kSumAt, fmt::format("{:06o}", sum));
    header.at(kSumAt + 6) = std::byte{0};
    return header;
}

Result<TarEntry> parse_tar_header(const TarHeader& header) {
    TarEntry entry;
    for (std::size_t i = 0; i <= kMostTarNameBytes && header.at(i) != std::byte{0}; ++i) {
        entry.name += static_cast<char>(header.at(i));
    }
    bool is_number = true;
    for (std::size_t i = 0; i < kSizeDigits; ++i) {
        const auto digit = std::to_integer<unsigned>(header.at(kSizeAt + i)) - '0';
        is_number = is_number && digit < 8;
        entry.size = entry.size * 8 + (digit & 7U);
    }
    if (entry.name.empty() || entry.name.size() > kMostTarNameBytes || !is_number ||
        tar_header(entry.name, entry.size) != header) {
        return fail(ErrorCode::kLoadFailed, "an entry's header is damaged, or not of this program's making");
    }
    return entry;
}

}  // namespace sutazai::artifact
