#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "fetch/ranges.h"

namespace sutazai::fetch {

/// A file that is being downloaded, and the state beside it ("<path>-state"), from which a later download goes on. One
/// process at a time has it, by a lock that ends with the process. A thread follows the data and makes the sum; another
/// writes the state, always behind the data: of what was written at most kMostUnsaved bytes are ever unknown to it.
class PartialFile {
  public:
    static constexpr std::uint64_t kMostUnsaved = 64ULL << 20;

    /// Told how many bytes another process's download of the file has, and of how many.
    using OnWait = std::function<void(std::uint64_t completed, std::uint64_t total)>;
    /// Opens the file, waiting for as long as another download holds it. Nothing when `is_there` says that what it was
    /// to become is there meanwhile. kCancelled when stopped, kUnavailable when the disk does not let us.
    [[nodiscard]] static Result<std::optional<File>> lock(const std::filesystem::path& path,
                                                          const std::function<bool()>& is_there, const OnWait& on_wait,
                                                          const std::stop_token& stop);

    /// `file` comes from lock(). What an earlier download of the same size and validator left is kept.
    PartialFile(std::filesystem::path path, File file, std::uint64_t size, std::string validator, std::stop_token stop);
    /// Remembers what is there, unless it was discarded or taken.
    ~PartialFile();
    PartialFile(const PartialFile&) = delete;
    PartialFile& operator=(const PartialFile&) = delete;

    /// Those that are missing, in pieces.
    [[nodiscard]] std::vector<Range> missing(std::uint64_t most) const;
    [[nodiscard]] std::uint64_t completed() const;
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::uint64_t resumed_bytes() const { return resumed_bytes_; }

    /// At `offset`, within the size. Waits while too much is unknown to the state. One thread.
    [[nodiscard]] Result<void> write(std::uint64_t offset, Bytes bytes);
    /// Everything is missing again.
    [[nodiscard]] Result<void> start_over();
    /// When nothing is missing: the sum of the whole. kCancelled when stopped.
    [[nodiscard]] Result<Digest> digest();

    /// Removes file and state.
    void discard();
    /// The file has become something else: the state goes. The lock lives as long as what is returned.
    [[nodiscard]] File take();
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    void start_threads();
    void stop_threads();
    void sum(const std::stop_token& stop);
    void keep(const std::stop_token& stop);
    [[nodiscard]] Result<void> save();
    void fail_with(Error error);

    const std::filesystem::path path_;
    const std::filesystem::path state_path_;
    File file_;
    const std::uint64_t size_;
    const std::string validator_;
    const std::stop_token stop_;
    std::uint64_t resumed_bytes_ = 0;
    bool gone_ = false;

    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    RangeSet done_;
    std::uint64_t saved_bytes_ = 0;  // of done_, in the state on the disk
    std::uint64_t summed_bytes_ = 0;
    std::optional<Error> error_;
    Sha256 sum_;
    std::jthread summer_;
    std::jthread keeper_;
};

}  // namespace sutazai::fetch
