#include "artifact/block.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "artifact/fingerprint.h"

namespace sutazai::artifact {
namespace {

// Like PNG's: a byte over 127, both line ends and an end-of-file mark show what a text transfer would have changed.
constexpr std::array<unsigned char, 8> kMagic{0x89, 'S', 'Z', 'K', 'V', '\r', '\n', 0x1a};
constexpr std::size_t kFixedBytes = 176;
constexpr std::size_t kHeadAlignment = 64;
constexpr std::size_t kPairBytes = 8;
constexpr std::size_t kSampleBytes = 16 << 10;
constexpr std::size_t kSamples = 4;

constexpr std::size_t head_bytes_for(std::size_t n_tokens, std::size_t n_pairs) {
    const std::size_t needed = kFixedBytes + n_tokens * sizeof(Token) + n_pairs * kPairBytes + sizeof(Checksum);
    return (needed + kHeadAlignment - 1) / kHeadAlignment * kHeadAlignment;
}
static_assert(head_bytes_for(kBlockTokens, Canary::kMostPairs) <= kMaxHeadBytes);

class Writer {
  public:
    explicit Writer(std::span<std::byte> to) : to_(to) {}
    void bytes(Bytes from) {
        std::memcpy(to_.data() + at_, from.data(), from.size());
        at_ += from.size();
    }
    template <typename T>
    void value(T value) {
        bytes(std::as_bytes(std::span(&value, 1)));
    }

  private:
    std::span<std::byte> to_;
    std::size_t at_ = 0;
};

/// The caller has checked that what it asks for is there.
class Reader {
  public:
    explicit Reader(Bytes from) : from_(from) {}
    void bytes(std::span<std::byte> to) {
        std::memcpy(to.data(), from_.data() + at_, to.size());
        at_ += to.size();
    }
    template <typename T>
    T value() {
        T value{};
        bytes(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }

  private:
    Bytes from_;
    std::size_t at_ = 0;
};

static_assert(std::endian::native == std::endian::little, "integers are written as they lie in memory");

std::unexpected<Error> damaged(std::string why) {
    return fail(ErrorCode::kLoadFailed, "the artifact is damaged: " + std::move(why));
}

Result<void> check_info(const BlockInfo& info) {
    const auto refuse = [](std::string why) { return fail(ErrorCode::kInvalidArgument, std::move(why)); };
    if (info.tokens.empty() || info.tokens.size() > kBlockTokens) {
        return refuse(fmt::format("a block has 1 to {} tokens, not {}", kBlockTokens, info.tokens.size()));
    }
    if (info.first < 0 || info.first % kBlockTokens != 0) {
        return refuse(fmt::format("a block begins at a multiple of {}, not at {}", kBlockTokens, info.first));
    }
    if (info.canary) {
        const Canary& canary = *info.canary;
        const bool finite = std::isfinite(canary.mean) && std::isfinite(canary.deviation) &&
                            std::ranges::all_of(canary.top, [](const auto& p) { return std::isfinite(p.logit); });
        if (canary.top.empty() || canary.top.size() > Canary::kMostPairs || !finite) {
            return refuse(fmt::format("a canary has 1 to {} finite values", Canary::kMostPairs));
        }
    }
    if (info.hash != chain_hash(info.parent, info.tokens)) return refuse("the chain hash is not that of the tokens");
    return {};
}

/// Whether a few pieces from all over get a quarter smaller.
bool sample_pays(Bytes payload) {
    if (payload.size() <= 2 * kSamples * kSampleBytes) return true;
    std::vector<std::byte> sample;
    sample.reserve(kSamples * kSampleBytes);
    for (std::size_t i = 0; i < kSamples; ++i) {
        const std::size_t at = (payload.size() - kSampleBytes) / (kSamples - 1) * i;
        const Bytes piece = payload.subspan(at, kSampleBytes);
        sample.insert(sample.end(), piece.begin(), piece.end());
    }
    std::vector<std::byte> packed(ZSTD_compressBound(sample.size()));
    const std::size_t n = ZSTD_compress(packed.data(), packed.size(), sample.data(), sample.size(), 1);
    return ZSTD_isError(n) == 0 && n <= sample.size() - sample.size() / 4;
}

/// Empty when it does not pay.
Buffer compress(Bytes payload, std::size_t& stored_bytes) {
    if (!sample_pays(payload)) return {};
    // Room for what would pay and no more: zstd gives up when it does not fit.
    const std::size_t most = payload.size() - payload.size() / 4;
    Buffer packed(most);
    const std::size_t n = ZSTD_compress(packed.span().data(), most, payload.data(), payload.size(), 1);
    if (ZSTD_isError(n) != 0 || n >= payload.size()) return {};
    stored_bytes = n;
    return packed;
}

}  // namespace

Result<EncodedBlock> encode_block(const BlockInfo& info, Bytes payload, Compression compression) {
    if (auto checked = check_info(info); !checked) return std::unexpected(checked.error());
    if (payload.empty() || payload.size() > kMaxPayloadBytes) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("a payload has 1 to {} bytes, not {}", kMaxPayloadBytes, payload.size()));
    }
    EncodedBlock out;
    out.stored = payload;
    if (std::size_t n = 0; compression == Compression::kWhenItPays) {
        if (out.packed = compress(payload, n); out.packed.size() > 0) out.stored = out.packed.span().first(n);
    }
    const std::size_t n_pairs = info.canary ? info.canary->top.size() : 0;
    out.head.resize(head_bytes_for(info.tokens.size(), n_pairs));
    Writer writer(out.head);
    writer.bytes(std::as_bytes(std::span(kMagic)));
    writer.value(kFormatVersion);
    writer.value(static_cast<std::uint32_t>(out.head.size()));
    writer.bytes(info.fingerprint);
    writer.bytes(info.parent);
    writer.bytes(info.hash);
    writer.value(static_cast<std::uint32_t>(info.first));
    writer.value(static_cast<std::uint32_t>(info.tokens.size()));
    writer.value(static_cast<std::uint32_t>(out.packed.size() > 0 ? Codec::kZstd : Codec::kNone));
    writer.value(static_cast<std::uint32_t>(n_pairs));
    writer.value(std::uint64_t{payload.size()});
    writer.value(std::uint64_t{out.stored.size()});
    writer.value(info.compute_us);
    writer.value(info.canary ? info.canary->mean : 0.0F);
    writer.value(info.canary ? info.canary->deviation : 0.0F);
    writer.bytes(xxh3(out.stored));
    writer.bytes(std::as_bytes(std::span(info.tokens)));
    if (info.canary) {
        for (const Canary::Pair& pair : info.canary->top) {
            writer.value(pair.token);
            writer.value(pair.logit);
        }
    }
    const std::span<std::byte> head(out.head);
    const Checksum sum = xxh3(head.first(head.size() - sizeof(Checksum)));
    std::ranges::copy(sum, head.last(sizeof(Checksum)).begin());
    return out;
}

Result<BlockHead> decode_head(Bytes file, std::uint64_t file_bytes) {
    if (file.size() < kFixedBytes || file_bytes < file.size()) return damaged("it is shorter than any");
    Reader reader(file);
    std::array<unsigned char, 8> magic{};
    reader.bytes(std::as_writable_bytes(std::span(magic)));
    if (magic != kMagic) return damaged("it does not begin as one");
    const auto version = reader.value<std::uint32_t>();
    if (version != kFormatVersion) {
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("the artifact has format version {}, not {}", version, kFormatVersion));
    }
    BlockHead head;
    head.head_bytes = reader.value<std::uint32_t>();
    reader.bytes(head.info.fingerprint);
    reader.bytes(head.info.parent);
    reader.bytes(head.info.hash);
    const auto first = reader.value<std::uint32_t>();
    const auto n_tokens = reader.value<std::uint32_t>();
    const auto codec = reader.value<std::uint32_t>();
    const auto n_pairs = reader.value<std::uint32_t>();
    head.raw_bytes = reader.value<std::uint64_t>();
    head.stored_bytes = reader.value<std::uint64_t>();
    head.info.compute_us = reader.value<std::uint64_t>();
    Canary canary;
    canary.mean = reader.value<float>();
    canary.deviation = reader.value<float>();
    reader.bytes(head.payload_hash);

    // The head's hash comes before anything that its numbers would lead to.
    if (n_tokens == 0 || n_tokens > kBlockTokens || n_pairs > Canary::kMostPairs ||
        head.head_bytes != head_bytes_for(n_tokens, n_pairs) || head.head_bytes > file.size()) {
        return damaged("its sizes do not fit together");
    }
    const Bytes whole = file.first(head.head_bytes);
    if (!std::ranges::equal(xxh3(whole.first(whole.size() - sizeof(Checksum))), whole.last(sizeof(Checksum)))) {
        return damaged("its head does not have the hash that it says");
    }
    if (codec > static_cast<std::uint32_t>(Codec::kZstd)) return damaged("its payload is packed in an unknown way");
    head.codec = static_cast<Codec>(codec);
    const bool sizes_fit = head.codec == Codec::kNone ? head.stored_bytes == head.raw_bytes
                                                      : head.stored_bytes > 0 && head.stored_bytes < head.raw_bytes;
    if (!sizes_fit || head.raw_bytes == 0 || head.raw_bytes > kMaxPayloadBytes) {
        return damaged("its payload's sizes cannot be");
    }
    if (head.file_bytes() != file_bytes) {
        return damaged(fmt::format("it has {} bytes and should have {}", file_bytes, head.file_bytes()));
    }
    if (first > INT32_MAX) return damaged("its position cannot be");
    head.info.first = static_cast<int>(first);
    head.info.tokens.resize(n_tokens);
    reader.bytes(std::as_writable_bytes(std::span(head.info.tokens)));
    if (n_pairs > 0) {
        canary.top.resize(n_pairs);
        for (Canary::Pair& pair : canary.top) {
            pair.token = reader.value<Token>();
            pair.logit = reader.value<float>();
        }
        head.info.canary = std::move(canary);
    }
    if (auto checked = check_info(head.info); !checked) return damaged(checked.error().message);
    return head;
}

Result<void> verify_stored(const BlockHead& head, Bytes stored) {
    if (stored.size() != head.stored_bytes) return damaged("its payload is cut short");
    if (xxh3(stored) != head.payload_hash) return damaged("its payload does not have the hash that its head says");
    if (head.codec == Codec::kZstd && ZSTD_getFrameContentSize(stored.data(), stored.size()) != head.raw_bytes) {
        return damaged("its payload is packed to another size than it says");
    }
    return {};
}

Result<Block> decode_block(Buffer file, std::uint64_t most_payload_bytes) {
    const Bytes bytes = std::as_const(file).span();
    auto head = decode_head(bytes, bytes.size());
    if (!head) return std::unexpected(head.error());
    if (head->raw_bytes > most_payload_bytes) {
        return damaged(fmt::format("its payload has {} bytes, and no block of this model more than {}", head->raw_bytes,
                                   most_payload_bytes));
    }
    const Bytes stored = bytes.subspan(head->head_bytes);
    if (auto verified = verify_stored(*head, stored); !verified) return std::unexpected(verified.error());
    Block block;
    block.info = std::move(head->info);
    if (head->codec == Codec::kNone) {
        block.payload = stored;
        block.storage = std::move(file);
        return block;
    }
    Buffer raw(head->raw_bytes);
    const std::size_t n = ZSTD_decompress(raw.span().data(), raw.size(), stored.data(), stored.size());
    if (ZSTD_isError(n) != 0 || n != head->raw_bytes) return damaged("its payload does not unpack");
    block.payload = std::as_const(raw).span();
    block.storage = std::move(raw);
    return block;
}

}  // namespace sutazai::artifact
