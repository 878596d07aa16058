#include "catalog/gguf_metadata.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "gguf/byte_reader.h"
#include "gguf/outline.h"
#include "gguf/translate.h"

namespace sutazai::catalog {

namespace {

constexpr std::uint64_t kMaxBytes = 64ULL << 20;  // of all that is kept

std::unexpected<Error> damaged() {
    return fail(ErrorCode::kLoadFailed, "the file is truncated or damaged, within its metadata");
}

MetadataScalar scalar(std::uint32_t type, std::string_view bytes) {
    const auto from = [&]<typename T>(T) { return gguf::from_bytes<T>(bytes); };
    switch (type) {
        case gguf::kUint8: return std::uint64_t{from(std::uint8_t{})};
        case gguf::kInt8: return std::int64_t{static_cast<std::int8_t>(from(std::uint8_t{}))};
        case gguf::kUint16: return std::uint64_t{from(std::uint16_t{})};
        case gguf::kInt16: return std::int64_t{static_cast<std::int16_t>(from(std::uint16_t{}))};
        case gguf::kUint32: return std::uint64_t{from(std::uint32_t{})};
        case gguf::kInt32: return std::int64_t{static_cast<std::int32_t>(from(std::uint32_t{}))};
        case gguf::kFloat32: return double{std::bit_cast<float>(from(std::uint32_t{}))};
        case gguf::kBool: return from(std::uint8_t{}) != 0;
        case gguf::kUint64: return from(std::uint64_t{});
        case gguf::kInt64: return static_cast<std::int64_t>(from(std::uint64_t{}));
        case gguf::kFloat64: return std::bit_cast<double>(from(std::uint64_t{}));
        default: return std::string(bytes);
    }
}

/// Puts the elements of arrays into entries, as many as may be kept of one file.
class ArrayReader {
  public:
    explicit ArrayReader(std::istream& in) : in_(in) {}

    /// False when they are too many, or cannot be read.
    bool read(const gguf::Value& value, std::vector<MetadataScalar>& out) {
        if (value.count > (kMaxBytes - kept_) / sizeof(MetadataScalar)) return false;
        const std::uint64_t bytes = value.place ? value.place->bytes : value.bytes.size();
        kept_ += value.count * sizeof(MetadataScalar);
        if (bytes > kMaxBytes - kept_) return false;
        kept_ += bytes;
        std::string held = value.bytes;
        if (value.place && !load(*value.place, held)) return false;
        std::string_view rest = held;
        out.reserve(value.count);
        for (std::uint64_t i = 0; i < value.count; ++i) {
            std::uint64_t length = gguf::kValueBytes.at(value.element);
            if (value.element == gguf::kString) {
                if (rest.size() < sizeof length) return false;
                length = gguf::from_bytes<std::uint64_t>(rest);
                rest.remove_prefix(sizeof length);
            }
            if (length > rest.size()) return false;
            out.push_back(scalar(value.element, rest.substr(0, length)));
            rest.remove_prefix(length);
        }
        return true;
    }

  private:
    bool load(const gguf::Range& place, std::string& out) {
        out.resize(place.bytes);
        in_.clear();
        in_.seekg(static_cast<std::streamoff>(place.begin));
        in_.read(out.data(), static_cast<std::streamsize>(out.size()));
        return std::cmp_equal(in_.gcount(), out.size());
    }

    std::istream& in_;
    std::uint64_t kept_ = 0;
};

}  // namespace

Result<std::vector<MetadataEntry>> read_gguf_metadata(std::istream& in, std::uint64_t size, Arrays arrays) {
    auto outline = gguf::read_outline(in, size);
    if (!outline) return std::unexpected(std::move(outline.error()));
    const auto translation = gguf::translate(*outline, in);
    if (!translation) return std::unexpected(translation.error());
    ArrayReader reader(in);
    std::vector<MetadataEntry> entries;
    entries.reserve(outline->pairs.size());
    for (gguf::Pair& pair : outline->pairs) {
        MetadataEntry entry{std::move(pair.key), pair.value.type == gguf::kArray, {}};
        if (!entry.is_array) {
            entry.values.push_back(scalar(pair.value.type, pair.value.bytes));
        } else if (arrays == Arrays::kRead && !reader.read(pair.value, entry.values)) {
            return damaged();
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

Result<std::vector<MetadataEntry>> read_gguf_metadata(const std::string& path, Arrays arrays) {
    auto file = gguf::open_model_file(path);
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
