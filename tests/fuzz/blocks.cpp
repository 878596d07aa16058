// Files of cache artifacts. The input is read as it is, and once more with its hashes made right, as somebody would who
// wants it to be believed: only then do the numbers behind the hashes get their turn.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "artifact/block.h"
#include "artifact/tar.h"
#include "require.h"

namespace {

using namespace sutazai::artifact;

constexpr std::uint64_t kMostPayload = 1 << 20;

void read(std::span<const std::byte> file) {
    const auto head = decode_head(file, file.size());
    if (head) REQUIRE(head->file_bytes() == file.size());
    Buffer copy(file.size());
    std::ranges::copy(file, copy.span().begin());
    const auto block = decode_block(std::move(copy), kMostPayload);
    if (!block) {
        REQUIRE(!block.error().message.empty());
        return;
    }
    REQUIRE(head.has_value());
    REQUIRE(block->payload.size() <= kMostPayload);
    REQUIRE(!block->info.tokens.empty() && block->info.tokens.size() <= static_cast<std::size_t>(kBlockTokens));
    REQUIRE(block->info.hash == chain_hash(block->info.parent, block->info.tokens));
}

/// The places of the hashes are those of docs/artifacts.md.
void seal(std::span<std::byte> file) {
    constexpr std::size_t kHeadBytesAt = 12;
    constexpr std::size_t kPayloadHashAt = 160;
    constexpr std::size_t kSmallestHead = 192;
    if (file.size() < kSmallestHead) return;
    std::uint32_t head_bytes = 0;
    std::memcpy(&head_bytes, file.data() + kHeadBytesAt, 4);
    if (head_bytes < kSmallestHead || head_bytes > file.size()) return;
    std::ranges::copy(xxh3(file.subspan(head_bytes)), file.begin() + kPayloadHashAt);
    const Checksum head = xxh3(file.first(head_bytes - sizeof(Checksum)));
    std::ranges::copy(head, file.begin() + head_bytes - sizeof(Checksum));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    std::vector<std::byte> file(bytes, bytes + size);
    read(file);
    seal(file);
    read(file);
    TarHeader header{};
    std::copy_n(bytes, std::min(size, header.size()), header.begin());
    if (const auto entry = parse_tar_header(header)) {
        REQUIRE(tar_header(entry->name, entry->size) == header);
    }
    return 0;
}
