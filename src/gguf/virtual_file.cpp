#include "gguf/virtual_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "gguf/byte_reader.h"

namespace sutazai::gguf {
namespace {

constexpr std::uint64_t kUnitsAtOnce = 4096;
constexpr std::uint64_t kRowsAtOnce = 256 << 10;  // bytes

/// Early files begin with the scale too, then have two neighbours in a byte, the first one low; ggml has values 0 to 15
/// in the low halves and 16 to 31 in the high ones.
void recode_early_mxfp4(const char* block, char* out) {
    const auto value = [block](std::size_t i) {
        const auto byte = static_cast<std::uint8_t>(block[1 + i / 2]);
        return static_cast<std::uint8_t>(i % 2 == 0 ? byte & 0xFU : byte >> 4U);
    };
    out[0] = block[0];
    for (std::size_t i = 0; i < 16; ++i) out[1 + i] = static_cast<char>(value(i) | value(i + 16) << 4U);
}

/// A bfloat16 is the upper half of a float.
void widen(const char* value, char* out) {
    out[0] = out[1] = 0;
    out[2] = value[0];
    out[3] = value[1];
}

std::uint64_t aligned(std::uint64_t position, std::uint64_t alignment) {
    return (position + alignment - 1) & ~(alignment - 1);
}

void append_text(std::string& out, std::string_view text) {
    append_bytes<std::uint64_t>(out, text.size());
    out += text;
}

}  // namespace

Result<std::optional<VirtualFile>> VirtualFile::translated(const std::string& path) {
    auto file = open_model_file(path);
    if (!file) return std::nullopt;
    auto read = read_outline_unless(file->in, file->size, needs_no_translation);
    if (!read || !*read) return std::nullopt;
    Outline& outline = **read;
    auto translation = translate(outline, file->in);
    if (!translation) return std::unexpected(std::move(translation.error()));
    if (!*translation) return std::nullopt;
    auto out = over(path, outline);
    if (!out) return std::unexpected(std::move(out.error()));
    out->translation_ = std::move(**translation);
    return std::optional(std::move(*out));
}

Result<VirtualFile> VirtualFile::over(const std::string& path, const Outline& outline) {
    VirtualFile out;
    out.file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (out.file_ < 0) return fail(ErrorCode::kLoadFailed, fmt::format("{}: {}", path, std::strerror(errno)));
    if (auto step = out.write_head(outline); !step) return std::unexpected(step.error());
    return out;
}

VirtualFile::VirtualFile(VirtualFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      translation_(std::move(other.translation_)),
      head_(std::move(other.head_)),
      extents_(std::move(other.extents_)),
      size_(other.size_) {}

VirtualFile::~VirtualFile() {
    if (file_ >= 0) close(file_);
}

Result<void> VirtualFile::write_head(const Outline& outline) {
    head_ = "GGUF";
    append_bytes(head_, outline.version);
    append_bytes<std::uint64_t>(head_, outline.tensors.size());
    append_bytes<std::uint64_t>(head_, outline.pairs.size());
    for (const auto& [key, value] : outline.pairs) {
        append_text(head_, key);
        append_bytes(head_, value.type);
        if (value.type == kString) append_bytes<std::uint64_t>(head_, value.bytes.size());
        if (value.type == kArray) {
            append_bytes(head_, value.element);
            append_bytes(head_, value.count);
        }
        const std::size_t at = head_.size();
        if (!value.place) {
            head_ += value.bytes;
            continue;
        }
        constexpr std::uint64_t kMostBytes = 1ULL << 30;
        if (value.place->bytes > kMostBytes) return fail(ErrorCode::kLoadFailed, "its metadata is larger than any");
        head_.resize(at + value.place->bytes);
        if (!read_source(value.place->begin, head_.data() + at, value.place->bytes)) {
            return fail(ErrorCode::kLoadFailed, fmt::format("it cannot be read: {}", std::strerror(errno)));
        }
    }
    // Where each tensor begins does not depend on where the data does.
    std::uint64_t offset = 0;
    for (const Tensor& tensor : outline.tensors) {
        append_text(head_, tensor.name);
        append_bytes(head_, tensor.dimensions);
        for (std::uint32_t i = 0; i < tensor.dimensions; ++i) append_bytes(head_, tensor.shape.at(i));
        append_bytes(head_, tensor.type);
        append_bytes(head_, offset);
        std::uint64_t begin = offset;
        for (const Piece& piece : tensor.all_pieces()) {
            const RecodingUnit unit = unit_of(tensor.recoding);
            const std::uint64_t bytes = piece.bytes / unit.from * unit.to;
            if (bytes > 0) extents_.push_back({begin, bytes, piece, tensor.recoding});
            begin += bytes;
        }
        size_ = begin;
        offset = aligned(begin, outline.alignment);
    }
    head_.resize(aligned(head_.size(), outline.alignment));
    for (Extent& extent : extents_) extent.begin += head_.size();
    size_ += head_.size();
    return {};
}

bool VirtualFile::read_source(std::uint64_t begin, char* out, std::size_t length) const {
    while (length > 0) {
        const ssize_t got = pread(file_, out, length, static_cast<off_t>(begin));
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO;  // it became shorter
        if (got <= 0) return false;
        begin += static_cast<std::uint64_t>(got);
        out += got;
        length -= static_cast<std::size_t>(got);
    }
    return true;
}

bool VirtualFile::read_piece(const Piece& piece, std::uint64_t begin, char* out, std::size_t length) const {
    if (piece.row_bytes == 0) return read_source(piece.begin + begin, out, length);
    const std::uint64_t row_bytes = piece.row_bytes;
    std::vector<char> rows;
    while (length > 0) {
        // From here to the end of the last row that is wanted, or of as many as are read at once.
        const std::uint64_t within = begin % row_bytes;
        const std::uint64_t wanted = (within + length + row_bytes - 1) / row_bytes;
        const std::uint64_t n = std::clamp<std::uint64_t>(kRowsAtOnce / row_bytes, 1, wanted);
        const std::uint64_t row_begin = piece.begin + 2 * (begin / row_bytes) * row_bytes;
        if (n == 1) {
            const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(row_bytes - within, length));
            if (!read_source(row_begin + within, out, taken)) return false;
            begin += taken;
            out += taken;
            length -= taken;
            continue;
        }
        rows.resize(static_cast<std::size_t>((2 * n - 1) * row_bytes));
        if (!read_source(row_begin, rows.data(), rows.size())) return false;
        for (std::uint64_t row = 0; row < n; ++row) {
            const std::uint64_t skipped = row == 0 ? within : 0;
            const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(row_bytes - skipped, length));
            std::memcpy(out, rows.data() + 2 * row * row_bytes + skipped, taken);
            begin += taken;
            out += taken;
            length -= taken;
        }
    }
    return true;
}

bool VirtualFile::read_extent(const Extent& extent, std::uint64_t begin, char* out, std::size_t length) const {
    if (extent.recoding == Recoding::kNone) return read_piece(extent.source, begin, out, length);
    const auto [from, to] = unit_of(extent.recoding);
    std::vector<char> source;
    std::vector<char> recoded;
    while (length > 0) {
        const std::uint64_t first = begin / to;
        const std::uint64_t n = std::min(extent.source.bytes / from - first, kUnitsAtOnce);
        source.resize(static_cast<std::size_t>(n * from));
        recoded.resize(static_cast<std::size_t>(n * to));
        if (!read_piece(extent.source, first * from, source.data(), source.size())) return false;
        const auto recode = extent.recoding == Recoding::kWiden ? widen : recode_early_mxfp4;
        for (std::uint64_t i = 0; i < n; ++i) recode(source.data() + i * from, recoded.data() + i * to);
        const auto skipped = static_cast<std::size_t>(begin - first * to);
        const std::size_t taken = std::min(recoded.size() - skipped, length);
        std::memcpy(out, recoded.data() + skipped, taken);
        begin += taken;
        out += taken;
        length -= taken;
    }
    return true;
}

std::optional<std::size_t> VirtualFile::read(std::uint64_t begin, char* out, std::size_t length) const {
    if (begin >= size_) return 0;
    length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size_ - begin));
    const std::size_t all = length;
    if (begin < head_.size()) {
        const std::size_t taken = std::min(length, head_.size() - static_cast<std::size_t>(begin));
        std::memcpy(out, head_.data() + begin, taken);
        begin += taken;
        out += taken;
        length -= taken;
    }
    auto extent = std::ranges::upper_bound(extents_, begin, {}, [](const Extent& one) {
        return one.begin + one.bytes;  // the first one that ends behind it
    });
    while (length > 0) {
        std::size_t taken = length;
        if (extent == extents_.end() || begin < extent->begin) {
            if (extent != extents_.end()) taken = std::min<std::uint64_t>(length, extent->begin - begin);
            std::memset(out, 0, taken);
        } else {
            const std::uint64_t within = begin - extent->begin;
            taken = std::min<std::uint64_t>(length, extent->bytes - within);
            if (!read_extent(*extent, within, out, taken)) return std::nullopt;
            ++extent;
        }
        begin += taken;
        out += taken;
        length -= taken;
    }
    return all;
}

}  // namespace sutazai::gguf
