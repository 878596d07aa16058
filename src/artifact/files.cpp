#include "artifact/files.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostManifestBytes = 16 << 10;

}  // namespace

Usage usage_of(const struct stat& status) {
    return {UnixTime(std::chrono::seconds(status.st_mtim.tv_sec)), static_cast<std::uint32_t>(status.st_mtim.tv_nsec)};
}

namespace {

struct Times {
    timespec values[2];
    explicit Times(const Usage& usage) : values{} {
        constexpr std::uint32_t kMostUses = 999'999'999;
        values[0].tv_nsec = UTIME_OMIT;
        values[1].tv_sec = usage.last_use.time_since_epoch().count();
        values[1].tv_nsec = static_cast<long>(std::min(usage.uses, kMostUses));
    }
};

}  // namespace

void record_usage(const File& file, const Usage& usage) {
    // What cannot be recorded (a folder of another user) makes the block look older than it is: no harm.
    (void)futimens(file.fd(), Times(usage).values);
}

void record_usage(const fs::path& path, const Usage& usage) {
    (void)utimensat(AT_FDCWD, path.c_str(), Times(usage).values, AT_SYMLINK_NOFOLLOW);
}

bool mark_used(const fs::path& folder, const fs::path& path, const Usage& more) {
    const FolderLock lock(lock_path(folder), FolderLock::Mode::kShared, kUsePatienceMs);
    const auto status = file_status(path);
    if (!status || !S_ISREG(status->st_mode)) return false;
    const Usage before = usage_of(*status);
    record_usage(path, {std::max(more.last_use, before.last_use), before.uses + more.uses});
    return true;
}

Result<void> make_fingerprint_folder(const fs::path& folder, const Fingerprint& fingerprint) {
    const fs::path own = folder / fingerprint.id();
    for (const char* name : {"tmp", "quarantine"}) {
        if (auto made = make_folder(own / name); !made) return made;
    }
    const fs::path manifest = own / "manifest.txt";
    const auto text = read_text(manifest, kMostManifestBytes);
    if (text && *text == fingerprint.text()) return {};
    if (text) {
        // One that does not fit its own folder was cut off or changed; one that does is another with the same id.
        const auto other = Fingerprint::parse(*text);
        if (other && other->id() == fingerprint.id()) {
            return fail(ErrorCode::kInternal, own.string() + " belongs to another fingerprint of the same id");
        }
    }
    return write_text(manifest, fingerprint.text(), own / "tmp");
}

Result<void> place_block(const fs::path& folder, const fs::path& path, Bytes head, Bytes stored, const Usage& usage) {
    const fs::path shard = path.parent_path();
    auto temp = TempFile::create(shard.parent_path() / "tmp");
    if (!temp) return std::unexpected(temp.error());
    if (auto done = write_all(temp->file(), head); !done) return done;
    if (auto done = write_all(temp->file(), stored); !done) return done;
    record_usage(temp->file(), usage);
    if (auto done = temp->sync(); !done) return done;
    if (auto made = make_folder(shard); !made) return made;
    {
        const FolderLock lock(lock_path(folder), FolderLock::Mode::kShared, kUsePatienceMs);
        if (auto done = temp->commit(path); !done) return done;
    }
    sync_folder(shard);
    return {};
}

Result<Buffer> read_verified(const fs::path& path, const Fingerprint& fingerprint, const ChainHash& hash) {
    const auto file = open_file(path);
    if (!file) return std::unexpected(file.error());
    struct stat status {};
    if (fstat(file->fd(), &status) != 0) return std::unexpected(disk_error("the file cannot be read", errno));
    if (static_cast<std::uint64_t>(status.st_size) > kMaxPayloadBytes + kMaxHeadBytes) {
        return fail(ErrorCode::kLoadFailed, "the artifact is damaged: it is larger than any");
    }
    Buffer buffer(static_cast<std::size_t>(status.st_size));
    if (auto read = read_at(*file, 0, buffer.span()); !read) return std::unexpected(read.error());
    const Bytes bytes = std::as_const(buffer).span();
    const auto head = decode_head(bytes, bytes.size());
    if (!head) return std::unexpected(head.error());
    if (head->info.hash != hash || head->info.fingerprint != fingerprint.digest()) {
        return fail(ErrorCode::kLoadFailed, "the artifact is damaged: its name is another's");
    }
    if (auto done = verify_stored(*head, bytes.subspan(head->head_bytes)); !done) return std::unexpected(done.error());
    return buffer;
}

}  // namespace sutazai::artifact
