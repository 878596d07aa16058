#include "artifact/tensor_digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string_view>

#include "artifact/digest_record.h"
#include "artifact/files.h"
#include "gguf/outline.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kKind = ".tensors";
constexpr std::size_t kPieceBytes = 8 << 20;
constexpr std::size_t kMostRecordBytes = 64 << 20;
constexpr std::size_t kHexBytes = 64;

std::optional<TensorDigests> parse(std::string_view text) {
    TensorDigests out;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(line.size() + 1);
        const auto digest = digest_from_hex(line.substr(0, kHexBytes));
        if (!digest || line.size() < kHexBytes + 1) return std::nullopt;
        out.emplace(line.substr(kHexBytes + 1), *digest);
    }
    return out;
}

Result<Digest> digest_of(const File& file, const gguf::Tensor& tensor, Buffer& buffer,
                         const std::function<bool()>& cancelled) {
    Sha256 sum;
    for (std::uint64_t at = 0; at < tensor.bytes; at += kPieceBytes) {
        if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "reading the weights was cancelled");
        const auto piece = buffer.span().first(std::min<std::uint64_t>(kPieceBytes, tensor.bytes - at));
        if (auto read = read_at(file, tensor.begin + at, piece); !read) return std::unexpected(read.error());
        sum.add(Bytes(piece));
    }
    return sum.finish();
}

Result<void> keep_those_of(const fs::path& artifacts, const fs::path& model, const std::function<bool()>& cancelled) {
    std::error_code error;
    const fs::path absolute = fs::canonical(model, error);
    if (error) return fail(ErrorCode::kNotFound, fmt::format("{}: {}", model.string(), error.message()));
    const auto file = open_file(absolute);
    if (!file) return std::unexpected(file.error());
    struct stat before {};
    if (fstat(file->fd(), &before) != 0) return std::unexpected(disk_error(absolute.string(), errno));
    if (read_record(artifacts, absolute, stamp_of(before), kKind, kMostRecordBytes)) return {};

    std::ifstream in(absolute, std::ios::binary);
    const auto outline = gguf::read_outline(in, static_cast<std::uint64_t>(before.st_size));
    if (!outline) return std::unexpected(outline.error());
    std::string text;
    Buffer buffer(kPieceBytes);
    for (const gguf::Tensor& tensor : outline->tensors) {
        const auto digest = digest_of(*file, tensor, buffer, cancelled);
        if (!digest) return std::unexpected(digest.error());
        if (tensor.name.find('\n') != std::string::npos) continue;  // no record could hold it
        text += fmt::format("{} {}\n", to_hex(*digest), tensor.name);
    }
    struct stat after {};
    if (fstat(file->fd(), &after) != 0 || stamp_of(after) != stamp_of(before)) {
        return fail(ErrorCode::kLoadFailed, absolute.string() + " changed while it was read");
    }
    const auto age = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(after.st_ctim.tv_sec);
    if (age > kSettleTime) write_record(artifacts, absolute, stamp_of(before), kKind, text);
    return {};
}

}  // namespace

std::optional<TensorDigests> cached_tensor_digests(const fs::path& artifacts, const std::string& file,
                                                   const FileStamp& stamp) {
    const auto text = read_record(artifacts, file, stamp, kKind, kMostRecordBytes);
    return text ? parse(*text) : std::nullopt;
}

Result<void> keep_tensor_digests(const fs::path& artifacts, const std::string& model,
                                 const std::function<bool()>& cancelled) {
    for (const std::string& part : model_parts(model)) {
        if (auto kept = keep_those_of(artifacts, part, cancelled); !kept) return kept;
    }
    return {};
}

}  // namespace sutazai::artifact
