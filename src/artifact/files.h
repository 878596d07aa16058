#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "artifact/block.h"
#include "artifact/folder.h"
#include "base/error.h"

/// What this module asks of POSIX. Blocks on the disk; any thread. Errors of the disk are kUnavailable with errno's
/// text, absent files kNotFound.
namespace sutazai::artifact {

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

/// Makes it and what is missing above it, for the owner alone.
[[nodiscard]] Result<void> make_folder(const std::filesystem::path& path);
/// Makes entries of the folder durable. A file system that cannot is no error.
void sync_folder(const std::filesystem::path& path);

/// A file being written. Unless it is committed, it is gone when this is destroyed; when the process dies first, the
/// lock that it holds on the file dies with it, and prune_folder() removes the file.
class TempFile {
  public:
    [[nodiscard]] static Result<TempFile> create(const std::filesystem::path& folder, std::string_view prefix = {});
    ~TempFile();
    TempFile(TempFile&& other) noexcept;
    TempFile& operator=(TempFile&&) = delete;

    [[nodiscard]] const File& file() const { return file_; }
    /// Data to the disk; before commit().
    [[nodiscard]] Result<void> sync();
    /// Under its name, in place of what was there. The folder still needs sync_folder().
    [[nodiscard]] Result<void> commit(const std::filesystem::path& path);

  private:
    TempFile(File file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}
    File file_;
    std::filesystem::path path_;
};

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

/// A use, as a block's file records it.
struct Usage {
    UnixTime last_use;
    std::uint32_t uses = 0;
};
[[nodiscard]] Usage usage_of(const struct stat& status);
void record_usage(const File& file, const Usage& usage);
void record_usage(const std::filesystem::path& path, const Usage& usage);

/// Adds `more.uses` to what the file says and moves its last use up to `more.last_use`, under the folder's lock. False
/// when there is no such file.
bool mark_used(const std::filesystem::path& folder, const std::filesystem::path& path, const Usage& more);

/// Guards a use against a removal. Uses take it shared, for microseconds.
[[nodiscard]] inline std::filesystem::path lock_path(const std::filesystem::path& folder) {
    return folder / "lock";
}
/// How long a use waits for it. One that does not get it goes on without: only the promise that a pruning process does
/// not remove what is just being used is lost then.
inline constexpr int kUsePatienceMs = 20;

/// The folder of a fingerprint with what belongs into it. kInternal when it is another's with the same id.
[[nodiscard]] Result<void> make_fingerprint_folder(const std::filesystem::path& folder, const Fingerprint& fingerprint);

/// Writes a block's file durably: temporary file, sync, rename, sync of the folder. kNotFound when the fingerprint's
/// folder is gone (a pruning process removes empty ones).
[[nodiscard]] Result<void> place_block(const std::filesystem::path& folder, const std::filesystem::path& path,
                                       Bytes head, Bytes stored, const Usage& usage);

/// The whole file of a block, verified but not unpacked; kLoadFailed when it is not what its name says.
[[nodiscard]] Result<Buffer> read_verified(const std::filesystem::path& path, const Fingerprint& fingerprint,
                                           const ChainHash& hash);

}  // namespace sutazai::artifact
