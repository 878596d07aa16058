#include "store/blob.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "store/manifest.h"

namespace sutazai::store {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
/// A file is made first and locked then.
constexpr std::chrono::seconds kSettled{60};
constexpr std::chrono::hours kUnfinishedKept{7 * 24};

constexpr std::string_view kPartialSuffix = "-partial";
constexpr std::string_view kStateSuffix = "-state";

Result<void> read_whole(const File& file, const Advance& advance, const std::function<Result<void>(Bytes)>& take) {
    std::vector<std::byte> piece(kPieceBytes);
    for (std::uint64_t at = 0;;) {
        const ssize_t n = pread(file.fd(), piece.data(), piece.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(disk_error("the file cannot be read", errno));
        if (n == 0) return {};
        const auto bytes = static_cast<std::size_t>(n);
        if (auto taken = take(Bytes(piece).first(bytes)); !taken) return taken;
        if (advance && !advance(bytes)) return fail(ErrorCode::kCancelled, "cancelled");
        at += bytes;
    }
}

std::chrono::seconds age_of(const struct stat& status) {
    return std::chrono::seconds(std::time(nullptr) - status.st_mtim.tv_sec);
}

/// A download and what is known of its parts are one, and either may be locked.
bool is_abandoned_download(const fs::path& blobs, std::string name, const struct stat& status) {
    if (name.ends_with(kStateSuffix)) name.resize(name.size() - kStateSuffix.size());
    if (!name.starts_with("sha256-") || !name.ends_with(kPartialSuffix) || age_of(status) < kUnfinishedKept) {
        return false;
    }
    return std::ranges::all_of(std::vector{name, name + std::string(kStateSuffix)}, [&](const std::string& part) {
        return !file_status(blobs / part) || is_unlocked(blobs / part);
    });
}

}  // namespace

Error cannot_write(const fs::path& folder, const Error& why) {
    return {why.code == ErrorCode::kNotFound ? ErrorCode::kUnavailable : why.code,
            fmt::format("the model store {} cannot be written to: {}", folder.string(), why.message)};
}

fs::path blob_path(const fs::path& blobs, const Digest& digest) {
    return blobs / ("sha256-" + to_hex(Bytes(digest)));
}

Result<bool> name_blob(const fs::path& file, const fs::path& blob, std::uint64_t bytes) {
    if (renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, blob.c_str(), RENAME_NOREPLACE) == 0) return true;
    int error = errno;
    const auto there = file_status(blob);
    if (error == EEXIST && there && static_cast<std::uint64_t>(there->st_size) == bytes) return false;
    // One that is not whole is replaced; and there are file systems that know no other way.
    if ((error == EEXIST || error == EINVAL) && rename(file.c_str(), blob.c_str()) == 0) return true;
    return std::unexpected(disk_error(blob.string(), errno));
}

std::optional<BlobHold> BlobHold::take(const fs::path& blob) {
    File file(open(blob.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat held {};
    if (!file.is_open() || fstat(file.fd(), &held) != 0 || !S_ISREG(held.st_mode)) return std::nullopt;
    // Who removes it has it for a moment; so has who has just made it, which is the only case worth the wait.
    if (flock(file.fd(), LOCK_SH) != 0) return std::nullopt;
    struct stat named {};
    if (stat(blob.c_str(), &named) != 0 || named.st_ino != held.st_ino || named.st_dev != held.st_dev) {
        return std::nullopt;
    }
    return BlobHold(std::move(file));
}

std::uint64_t BlobHold::bytes() const {
    struct stat status {};
    return fstat(file_.fd(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

Result<BlobWriter> BlobWriter::create(const fs::path& blobs) {
    auto file = TempFile::create(blobs, kTemporaryPrefix, 0644);
    if (!file) return std::unexpected(cannot_write(blobs, file.error()));
    return BlobWriter(blobs, std::move(*file));
}

Result<void> BlobWriter::add(Bytes bytes) {
    if (auto written = write_all(file_.file(), bytes); !written) {
        return std::unexpected(cannot_write(blobs_, written.error()));
    }
    sum_.add(bytes);
    bytes_ += bytes.size();
    return {};
}

Result<void> BlobWriter::take_file(const Advance& advance) {
    return read_whole(file_.file(), advance, [this](Bytes bytes) -> Result<void> {
        sum_.add(bytes);
        bytes_ += bytes.size();
        return {};
    });
}

Result<StoredBlob> BlobWriter::commit(const std::optional<Digest>& wanted) {
    const Digest digest = sum_.finish();
    if (wanted && digest != *wanted) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("digest mismatch: the content is {} and should be {}", to_text(digest), to_text(*wanted)),
            "digest");
    }
    const fs::path path = blob_path(blobs_, digest);
    // One that is there stays: another file of the same content would look like a changed model.
    for (bool synced = false;;) {
        if (auto there = BlobHold::take(path); there && there->bytes() == bytes_) {
            return StoredBlob{digest, bytes_, std::move(*there)};
        }
        if (!synced) {
            if (auto done = file_.sync(); !done) return std::unexpected(cannot_write(blobs_, done.error()));
            // Before it has the name: changing a lock lets others in for a moment.
            flock(file_.file().fd(), LOCK_SH);
            synced = true;
        }
        const auto named = name_blob(file_.path(), path, bytes_);
        if (!named) return std::unexpected(cannot_write(blobs_, named.error()));
        if (*named) break;  // else somebody else was quicker
    }
    sync_folder(blobs_);
    file_.release();
    return StoredBlob{digest, bytes_, BlobHold(file_.take_file())};
}

Result<Digest> digest_of(const File& file, const Advance& advance) {
    Sha256 sum;
    auto read = read_whole(file, advance, [&](Bytes bytes) -> Result<void> {
        sum.add(bytes);
        return {};
    });
    if (!read) return std::unexpected(read.error());
    return sum.finish();
}

Result<void> add_file(BlobWriter& writer, const File& file, const Advance& advance) {
    return read_whole(file, advance, [&](Bytes bytes) { return writer.add(bytes); });
}

void prune_unfinished(const fs::path& blobs) {
    std::error_code error;
    for (fs::directory_iterator entry(blobs, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        const auto status = file_status(entry->path());
        if (!status || !S_ISREG(status->st_mode)) continue;
        const bool is_left_over =
            name.starts_with(kTemporaryPrefix) && age_of(*status) > kSettled && is_unlocked(entry->path());
        if (is_left_over || is_abandoned_download(blobs, name, *status)) unlink(entry->path().c_str());
    }
}

}  // namespace sutazai::store
