#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/digest.h"
#include "base/error.h"

/// What is asked of POSIX by those that keep files. Blocks on the disk; any thread. Errors of the disk are kUnavailable
/// with errno's text, absent files kNotFound.
namespace sutazai {

/// An open file descriptor.
class File {
  public:
    File() = default;
    explicit File(int fd) : fd_(fd) {}
    ~File() { close(); }
    File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    File& operator=(File&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] bool is_open() const { return fd_ >= 0; }
    void close();

  private:
    int fd_ = -1;
};

/// A regular file for reading; a link, pipe or folder of that name is kLoadFailed.
[[nodiscard]] Result<File> open_file(const std::filesystem::path& path);
/// `to.size()` bytes at `offset`; fewer are kLoadFailed.
[[nodiscard]] Result<void> read_at(const File& file, std::uint64_t offset, std::span<std::byte> to);
[[nodiscard]] Result<void> write_all(const File& file, Bytes bytes);
/// At most `most` bytes; a longer file is kLoadFailed.
[[nodiscard]] Result<std::string> read_text(const std::filesystem::path& path, std::size_t most);

[[nodiscard]] std::optional<struct stat> file_status(const std::filesystem::path& path);  ///< links are not followed
[[nodiscard]] Error disk_error(std::string_view what, int error);

/// Makes it and what is missing above it; `mode` is its own, what is above is for the owner alone.
[[nodiscard]] Result<void> make_folder(const std::filesystem::path& path, mode_t mode = 0700);
/// Makes entries of the folder durable. A file system that cannot is no error.
void sync_folder(const std::filesystem::path& path);

/// A file being written. Unless it is committed, it is gone when this is destroyed; when the process dies first, the
/// lock that it holds on the file dies with it, so that is_unlocked() says what is left over.
class TempFile {
  public:
    [[nodiscard]] static Result<TempFile> create(const std::filesystem::path& folder, std::string_view prefix = {},
                                                 mode_t mode = 0600);
    ~TempFile();
    TempFile(TempFile&& other) noexcept;
    TempFile& operator=(TempFile&&) = delete;

    [[nodiscard]] const File& file() const { return file_; }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }  ///< empty once committed
    /// Data to the disk; before commit().
    [[nodiscard]] Result<void> sync();
    /// Under its name, in place of what was there. The folder still needs sync_folder().
    [[nodiscard]] Result<void> commit(const std::filesystem::path& path);
    /// It has been given another name, and stays.
    void release() { path_.clear(); }
    /// The open file, and with it the lock, once it is committed.
    [[nodiscard]] File take_file() { return std::move(file_); }

  private:
    TempFile(File file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}
    File file_;
    std::filesystem::path path_;
};

/// Does nobody hold an flock on this file? False when it cannot be told.
[[nodiscard]] bool is_unlocked(const std::filesystem::path& path);

/// Text durably in place of `path`, by way of a temporary file in `temporary`.
[[nodiscard]] Result<void> write_text(const std::filesystem::path& path, std::string_view text,
                                      const std::filesystem::path& temporary);

/// flock on a file that is made when it is not there. Never waits longer than `patience_ms`: who stops a process that
/// holds a lock must not stop the others.
class FolderLock {
  public:
    enum class Mode : std::uint8_t { kShared, kExclusive };
    FolderLock(const std::filesystem::path& path, Mode mode, int patience_ms);
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    [[nodiscard]] bool held() const { return held_; }
    /// False when the folder cannot be written to, so that nobody can ever hold it.
    [[nodiscard]] bool exists() const { return file_.is_open(); }

  private:
    File file_;  ///< closing it gives the lock back
    bool held_ = false;
};

}  // namespace sutazai
