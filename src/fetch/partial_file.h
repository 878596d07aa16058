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
#include "fetch/inflow.h"
#include "fetch/ranges.h"

namespace sutazai::fetch {

/// A file that is being downloaded, and the state beside it ("<path>-state"), from which a later download goes on. One
/// process at a time has it, by a lock that ends with the process. The end of the process, at any moment, costs
/// at most kMostUnsaved bytes, that of the machine what came in the last seconds: the state says what was on the disk.
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
    [[nodiscard]] std::uint64_t completed() const { return inflow_->added_bytes(); }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::uint64_t resumed_bytes() const { return resumed_bytes_; }

    /// At `offset`, within the size; nothing twice. Waits while too much is unknown to the state. One thread.
    [[nodiscard]] Result<void> write(std::uint64_t offset, Bytes bytes);
    /// Inflow::go_around_cache().
    void go_around_cache(bool around) { inflow_->go_around_cache(around); }
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
    void start(RangeSet there);
    void stop();
    void keep(const std::stop_token& stop);
    [[nodiscard]] Result<void> save();
    [[nodiscard]] Result<void> sync();

    const std::filesystem::path path_;
    const std::filesystem::path state_path_;
    File file_;
    const std::uint64_t size_;
    const std::string validator_;
    const std::stop_token stop_;
    std::uint64_t resumed_bytes_ = 0;
    bool gone_ = false;
    std::optional<Inflow> inflow_;

    std::mutex mutex_;
    std::condition_variable_any saved_;     // more is, or error_
    std::condition_variable_any can_keep_;  // for the thread that writes the state
    RangeSet synced_;                       // on the disk; of the thread that writes the state
    std::uint64_t written_bytes_ = 0;
    std::uint64_t saved_bytes_ = 0;    // of those, what the state knows of
    std::uint64_t started_bytes_ = 0;  // of those, what the disk was told of
    std::optional<Error> error_;
    std::jthread keeper_;
};

}  // namespace sutazai::fetch
