#include "artifact/weights_digest.h"

#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "artifact/digest_record.h"
#include "artifact/files.h"
#include "base/model_parts.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPieceBytes = 8 << 20;
constexpr std::size_t kMostRecordBytes = 16 << 10;

std::optional<Digest> look_up(const fs::path& artifacts, const fs::path& absolute, const FileStamp& stamp) {
    const auto record = read_record(artifacts, absolute, stamp, "", kMostRecordBytes);
    if (!record || record->size() != 65) return std::nullopt;
    return digest_from_hex(std::string_view(*record).substr(0, 64));
}

/// The digest of one file.
Result<Digest> file_digest(const fs::path& artifacts, const fs::path& model, const std::function<bool()>& cancelled) {
    std::error_code error;
    const fs::path absolute = fs::canonical(model, error);
    if (error) return fail(ErrorCode::kNotFound, fmt::format("{}: {}", model.string(), error.message()));
    const auto file = open_file(absolute);
    if (!file) return std::unexpected(file.error());
    struct stat before {};
    if (fstat(file->fd(), &before) != 0) return std::unexpected(disk_error(absolute.string(), errno));
    if (const auto known = look_up(artifacts, absolute, stamp_of(before))) return *known;

    const auto size = static_cast<std::uint64_t>(before.st_size);
    Sha256 whole;
    whole.add(std::string_view("sutazai weights 1\n"));
    whole.add_u64(size);
    Buffer buffer(std::min<std::uint64_t>(size, kPieceBytes));
    for (std::uint64_t at = 0; at < size; at += kPieceBytes) {
        if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "reading the weights was cancelled");
        const auto piece = buffer.span().first(std::min<std::uint64_t>(kPieceBytes, size - at));
        if (auto read = read_at(*file, at, piece); !read) return std::unexpected(read.error());
        whole.add(Bytes(sha256(piece)));
    }
    const Digest digest = whole.finish();

    struct stat after {};
    if (fstat(file->fd(), &after) != 0 || stamp_of(after) != stamp_of(before)) {
        return fail(ErrorCode::kLoadFailed, absolute.string() + " changed while it was read");
    }
    const auto age = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(after.st_ctim.tv_sec);
    if (age > kSettleTime) write_record(artifacts, absolute, stamp_of(before), "", to_hex(digest) + "\n");
    return digest;
}

std::optional<Digest> cached_file_digest(const fs::path& artifacts, const fs::path& model) {
    std::error_code error;
    const fs::path absolute = fs::canonical(model, error);
    if (error) return std::nullopt;
    const auto status = file_status(absolute);
    return status ? look_up(artifacts, absolute, stamp_of(*status)) : std::nullopt;
}

/// A model of one file has that file's digest.
Digest digest_of_parts(const std::vector<Digest>& parts) {
    if (parts.size() == 1) return parts.front();
    Sha256 whole;
    whole.add(std::string_view("sutazai weights of parts 1\n"));
    whole.add_u64(parts.size());
    for (const Digest& part : parts) whole.add(Bytes(part));
    return whole.finish();
}

}  // namespace

std::optional<Digest> cached_weights_digest(const fs::path& artifacts, const fs::path& model) {
    std::vector<Digest> digests;
    for (const std::string& part : model_parts(model.string())) {
        const auto digest = cached_file_digest(artifacts, part);
        if (!digest) return std::nullopt;
        digests.push_back(*digest);
    }
    return digest_of_parts(digests);
}

Result<Digest> weights_digest(const fs::path& artifacts, const fs::path& model,
                              const std::function<bool()>& cancelled) {
    std::vector<Digest> digests;
    for (const std::string& part : model_parts(model.string())) {
        const auto digest = file_digest(artifacts, part, cancelled);
        if (!digest) return digest;
        digests.push_back(*digest);
    }
    return digest_of_parts(digests);
}

}  // namespace sutazai::artifact
