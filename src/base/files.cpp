#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

namespace sutazai {

namespace fs = std::filesystem;

void File::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Error disk_error(std::string_view what, int error) {
    const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
    return {code, fmt::format("{}: {}", what, std::generic_category().message(error))};
}

Result<File> open_file(const fs::path& path) {
    // Without O_NONBLOCK opening a pipe would wait for its writer.
    File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.is_open()) {
        if (errno == ELOOP) return fail(ErrorCode::kLoadFailed, path.string() + " is a link");
        return std::unexpected(disk_error(path.string() + " cannot be opened", errno));
    }
    struct stat status {};
    if (fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(ErrorCode::kLoadFailed, path.string() + " is no file");
    }
    return file;
}

Result<void> read_at(const File& file, std::uint64_t offset, std::span<std::byte> to) {
    while (!to.empty()) {
        const ssize_t n = pread(file.fd(), to.data(), to.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(disk_error("the file cannot be read", errno));
        if (n == 0) return fail(ErrorCode::kLoadFailed, "the file is cut short");
        to = to.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

Result<void> write_all(const File& file, Bytes bytes) {
    while (!bytes.empty()) {
        const ssize_t n = write(file.fd(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(disk_error("the file cannot be written", errno));
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

Result<std::string> read_text(const fs::path& path, std::size_t most) {
    auto file = open_file(path);
    if (!file) return std::unexpected(file.error());
    struct stat status {};
    if (fstat(file->fd(), &status) != 0) return std::unexpected(disk_error("the file cannot be read", errno));
    if (static_cast<std::uint64_t>(status.st_size) > most) {
        return fail(ErrorCode::kLoadFailed, path.string() + " is longer than any such file");
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    if (auto read = read_at(*file, 0, std::as_writable_bytes(std::span(text))); !read) {
        return std::unexpected(read.error());
    }
    return text;
}

std::optional<struct stat> file_status(const fs::path& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return std::nullopt;
    return status;
}

Result<void> make_folder(const fs::path& path, mode_t mode) {
    // Another process may remove an empty folder between any two of these.
    constexpr int kMostAttempts = 100;
    int error = 0;
    for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
        if (mkdir(path.c_str(), mode) == 0) {
            sync_folder(path.parent_path());
            return {};
        }
        error = errno;
        if (error == ENOENT && path.has_parent_path() && path.parent_path() != path) {
            if (auto made = make_folder(path.parent_path()); !made) return made;
            continue;
        }
        struct stat status {};
        if (error != EEXIST) break;
        if (stat(path.c_str(), &status) != 0) continue;
        if (S_ISDIR(status.st_mode)) return {};
        break;
    }
    Error why = disk_error(path.string() + " cannot be made", error);
    why.code = ErrorCode::kUnavailable;
    return std::unexpected(std::move(why));
}

void sync_folder(const fs::path& path) {
    const File folder(open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.is_open()) fsync(folder.fd());
}

Result<TempFile> TempFile::create(const fs::path& folder, std::string_view prefix, mode_t mode) {
    static std::atomic<std::uint64_t> counter{0};
    for (int attempt = 0; attempt < 100; ++attempt) {
        // Processes of two containers may have one number: O_EXCL decides.
        fs::path path = folder / fmt::format("{}{}.{}.{}", prefix, getpid(), counter++, attempt);
        File file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
        if (file.is_open()) {
            flock(file.fd(), LOCK_EX | LOCK_NB);
            return TempFile(std::move(file), std::move(path));
        }
        if (errno != EEXIST) return std::unexpected(disk_error("no file can be made in " + folder.string(), errno));
    }
    return fail(ErrorCode::kUnavailable, "no free name for a temporary file in " + folder.string());
}

TempFile::TempFile(TempFile&& other) noexcept
    : file_(std::move(other.file_)), path_(std::exchange(other.path_, fs::path())) {}

TempFile::~TempFile() {
    if (!path_.empty()) unlink(path_.c_str());
}

Result<void> TempFile::sync() {
    if (fsync(file_.fd()) != 0) return std::unexpected(disk_error("the file cannot be written", errno));
    return {};
}

Result<void> TempFile::commit(const fs::path& path) {
    if (rename(path_.c_str(), path.c_str()) != 0) {
        return std::unexpected(disk_error(path.string() + " cannot be made", errno));
    }
    path_.clear();
    return {};
}

bool is_unlocked(const fs::path& path) {
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return file.is_open() && flock(file.fd(), LOCK_EX | LOCK_NB) == 0;
}

Result<void> write_text(const fs::path& path, std::string_view text, const fs::path& temporary) {
    auto temp = TempFile::create(temporary);
    if (!temp) return std::unexpected(temp.error());
    if (auto done = write_all(temp->file(), std::as_bytes(std::span(text))); !done) return done;
    if (auto done = temp->sync(); !done) return done;
    if (auto done = temp->commit(path); !done) return done;
    sync_folder(path.parent_path());
    return {};
}

FolderLock::FolderLock(const fs::path& path, Mode mode, int patience_ms)
    : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    const int operation = (mode == Mode::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
    for (int waited_ms = 0; file_.is_open(); ++waited_ms) {
        held_ = flock(file_.fd(), operation) == 0;
        if (held_ || waited_ms >= patience_ms || (errno != EWOULDBLOCK && errno != EINTR)) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace sutazai
