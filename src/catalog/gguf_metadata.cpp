#include "catalog/gguf_metadata.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <string_view>
#include <utility>

#include "catalog/byte_reader.h"

namespace sutazai::catalog {

namespace {

constexpr std::uint64_t kMaxBytes = 64ULL << 20;  // of all that is kept
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxPairs = 1 << 16;

constexpr std::uint32_t kString = 8;
constexpr std::uint32_t kArray = 9;
/// Bytes of a value of each type of ggml's docs/gguf.md; 0: text, or an array.
constexpr std::array<std::uint8_t, 13> kValueBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class MetadataReader {
  public:
    MetadataReader(std::istream& in, std::uint64_t size, Arrays arrays) : reader_(in, size), arrays_(arrays) {}

    Result<std::vector<MetadataEntry>> read() {
        if (reader_.remaining() < 4 || reader_.read_text(4) != "GGUF") {
            return fail(ErrorCode::kLoadFailed, "the file is no GGUF file: it does not begin with \"GGUF\"");
        }
        const auto version = reader_.read<std::uint32_t>();
        reader_.skip(sizeof(std::uint64_t));  // the number of tensors
        const auto pairs = reader_.read<std::uint64_t>();
        if (!reader_.ok() || version < 2 || version > 3 || pairs > kMaxPairs) return damaged();
        std::vector<MetadataEntry> entries;
        for (std::uint64_t i = 0; i < pairs; ++i) {
            std::optional<MetadataEntry> entry = read_entry();
            if (!entry) return damaged();
            entries.push_back(std::move(*entry));
        }
        return entries;
    }

  private:
    static std::unexpected<Error> damaged() {
        return fail(ErrorCode::kLoadFailed, "the file is truncated or damaged, within its metadata");
    }

    /// Takes so much of what may be kept.
    bool take(std::uint64_t bytes) {
        if (bytes > kMaxBytes - kept_) return false;
        kept_ += bytes;
        return true;
    }

    std::optional<std::string> read_string(std::uint64_t most) {
        const auto length = reader_.read<std::uint64_t>();
        if (length > most || !take(length)) return std::nullopt;
        std::string text = reader_.read_text(length);
        if (!reader_.ok()) return std::nullopt;
        return text;
    }

    std::optional<MetadataScalar> read_scalar(std::uint32_t type) {
        switch (type) {
            case 0: return std::uint64_t{reader_.read<std::uint8_t>()};
            case 1: return std::int64_t{static_cast<std::int8_t>(reader_.read<std::uint8_t>())};
            case 2: return std::uint64_t{reader_.read<std::uint16_t>()};
            case 3: return std::int64_t{static_cast<std::int16_t>(reader_.read<std::uint16_t>())};
            case 4: return std::uint64_t{reader_.read<std::uint32_t>()};
            case 5: return std::int64_t{static_cast<std::int32_t>(reader_.read<std::uint32_t>())};
            case 6: return double{std::bit_cast<float>(reader_.read<std::uint32_t>())};
            case 7: return reader_.read<std::uint8_t>() != 0;
            case kString: {
                std::optional<std::string> text = read_string(kMaxBytes);
                if (!text) return std::nullopt;
                return MetadataScalar(std::move(*text));
            }
            case 10: return reader_.read<std::uint64_t>();
            case 11: return static_cast<std::int64_t>(reader_.read<std::uint64_t>());
            case 12: return std::bit_cast<double>(reader_.read<std::uint64_t>());
            default: return std::nullopt;
        }
    }

    std::optional<MetadataEntry> read_entry() {
        MetadataEntry entry;
        std::optional<std::string> key = read_string(kMaxKeyBytes);
        const auto type = reader_.read<std::uint32_t>();
        if (!key || !reader_.ok()) return std::nullopt;
        entry.key = std::move(*key);
        if (type == kArray) {
            entry.is_array = true;
            return read_array(entry) ? std::optional(std::move(entry)) : std::nullopt;
        }
        std::optional<MetadataScalar> value = read_scalar(type);
        if (!value || !reader_.ok()) return std::nullopt;
        entry.values.push_back(std::move(*value));
        return entry;
    }

    bool read_array(MetadataEntry& entry) {
        const auto type = reader_.read<std::uint32_t>();
        const auto count = reader_.read<std::uint64_t>();
        if (!reader_.ok() || type == kArray || type >= kValueBytes.size()) return false;
        // A text takes at least the eight bytes of its length.
        const std::uint64_t least_bytes = type == kString ? sizeof(std::uint64_t) : kValueBytes.at(type);
        if (count > reader_.remaining() / least_bytes) return false;
        if (arrays_ == Arrays::kRead) {
            if (!take(count * sizeof(MetadataScalar))) return false;
            entry.values.reserve(count);
        } else if (type != kString) {
            reader_.skip(count * least_bytes);
            return reader_.ok();
        }
        for (std::uint64_t i = 0; i < count && reader_.ok(); ++i) {
            if (arrays_ == Arrays::kSkip) {
                reader_.skip(reader_.read<std::uint64_t>());
                continue;
            }
            std::optional<MetadataScalar> value = read_scalar(type);
            if (!value) return false;
            entry.values.push_back(std::move(*value));
        }
        return reader_.ok();
    }

    ByteReader reader_;
    Arrays arrays_;
    std::uint64_t kept_ = 0;
};

}  // namespace

Result<std::vector<MetadataEntry>> read_gguf_metadata(std::istream& in, std::uint64_t size, Arrays arrays) {
    return MetadataReader(in, size, arrays).read();
}

Result<std::vector<MetadataEntry>> read_gguf_metadata(const std::string& path, Arrays arrays) {
    auto file = open_model_file(path);
    if (!file) return std::unexpected(std::move(file.error()));
    return read_gguf_metadata(file->in, file->size, arrays);
}

std::string text_of(const std::vector<MetadataEntry>& entries, std::string_view key) {
    const auto found = std::ranges::find(entries, key, &MetadataEntry::key);
    if (found == entries.end() || found->is_array) return {};
    const auto* text = std::get_if<std::string>(&found->values.front());
    return text == nullptr ? std::string() : *text;
}

}  // namespace sutazai::catalog
