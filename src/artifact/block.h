#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "artifact/canary.h"
#include "artifact/chain.h"
#include "artifact/hash.h"
#include "base/error.h"

/// The file of one block of KV state. docs/artifacts.md has it byte by byte. Pure; any thread.
///
/// Every byte of a file is covered by a hash: the head by its own at its end, the payload by one in the head. Sizes and
/// counts are checked against limits and against the file's length before anything is read or allocated by them, so a
/// damaged or hostile file gives an error and nothing else. All integers are little-endian.
namespace sutazai::artifact {

/// A raw payload at most: 256 tokens of the widest model that there is in f32, with room.
inline constexpr std::uint64_t kMaxPayloadBytes = 1ULL << 30;
/// A head at most; the first read of a file that wants to know what it is takes so much.
inline constexpr std::size_t kMaxHeadBytes = 2048;

enum class Codec : std::uint32_t { kNone = 0, kZstd = 1 };

/// What a block is, beside its bytes.
struct BlockInfo {
    Digest fingerprint{};
    ChainHash parent{};
    ChainHash hash{};
    int first = 0;              ///< position of the first token; a multiple of kBlockTokens
    std::vector<Token> tokens;  ///< 1 to kBlockTokens
    std::optional<Canary> canary;
    std::uint64_t compute_us = 0;  ///< what computing it took when it was made, 0 when unknown; for ranking only
};

/// A buffer that is not filled with zeros first: payloads have megabytes.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t size) : data_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}
    [[nodiscard]] std::span<std::byte> span() { return {data_.get(), size_}; }
    [[nodiscard]] Bytes span() const { return {data_.get(), size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    std::unique_ptr<std::byte[]> data_;
    std::size_t size_ = 0;
};

/// A file to be written: head and stored payload, one after the other.
struct EncodedBlock {
    std::vector<std::byte> head;
    Bytes stored;   ///< into `packed`, or the payload that was given (which must outlive this)
    Buffer packed;  ///< empty when the payload is stored as it is
    [[nodiscard]] std::uint64_t bytes() const { return head.size() + stored.size(); }
};

enum class Compression : std::uint8_t {
    kNever,
    /// zstd level 1, when a sample and then the whole get at least a quarter smaller. f16 states do not (0.90 to 0.92
    /// of their size): reading one back whole takes a tenth of the time that unpacking it would.
    kWhenItPays,
};

/// kInvalidArgument when `info` breaks one of the rules above or the payload is empty or too long; `info.hash` must be
/// chain_hash(info.parent, info.tokens).
[[nodiscard]] Result<EncodedBlock> encode_block(const BlockInfo& info, Bytes payload, Compression compression);

/// A head that is whole.
struct BlockHead {
    BlockInfo info;
    Codec codec = Codec::kNone;
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::uint64_t head_bytes = 0;  ///< the payload begins here
    Checksum payload_hash{};       ///< of the stored bytes
    [[nodiscard]] std::uint64_t file_bytes() const { return head_bytes + stored_bytes; }
};

/// Reads and verifies the head at the beginning of `file` (at least its first kMaxHeadBytes, or all of it), including
/// the name: the chain hash is computed again from parent and tokens. `file_bytes` is the whole file's length, which
/// must be what the head says. Errors are kLoadFailed with the reason.
[[nodiscard]] Result<BlockHead> decode_head(Bytes file, std::uint64_t file_bytes);

/// A block read back and verified.
struct Block {
    BlockInfo info;
    Buffer storage;
    Bytes payload;  ///< into `storage`
};

/// Verifies all of `file` and takes it over. Refuses with kLoadFailed, before it allocates, payloads over
/// `most_payload_bytes` (what the caller knows such a block to need at most; never more than kMaxPayloadBytes).
[[nodiscard]] Result<Block> decode_block(Buffer file, std::uint64_t most_payload_bytes = kMaxPayloadBytes);

/// The same without unpacking: whether the file of this head holds the payload that it should.
[[nodiscard]] Result<void> verify_stored(const BlockHead& head, Bytes stored);

}  // namespace sutazai::artifact
