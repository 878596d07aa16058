#include "fetch/partial_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <span>
#include <utility>
#include <vector>

#include "fetch/client.h"

namespace sutazai::fetch {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::uint64_t kSaveBytes = PartialFile::kMostUnsaved / 2;
/// The disk begins to write as soon as so much is new, so that little is left for the end.
constexpr std::uint64_t kStartBytes = 8 << 20;
constexpr auto kSyncEvery = 2s;
constexpr auto kLockLook = 100ms;

fs::path state_of(const fs::path& path) {
    return path.string() + "-state";
}

std::optional<PartialState> read_state(const fs::path& path) {
    const auto text = read_text(state_of(path), kMostStateBytes);
    return text ? decode_state(*text) : std::nullopt;
}

/// The kernel's name of the machine's run; empty when it does not say.
std::string boot_of_machine() {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string name;
    std::getline(in, name);
    return name;
}

/// What of a file is certainly there, as a state tells it.
RangeSet certain(PartialState& state) {
    return std::move(!state.boot.empty() && state.boot == boot_of_machine() ? state.done : state.synced);
}

bool is_named(const File& file, const fs::path& path) {
    struct stat ours {};
    const auto named = file_status(path);
    return named && fstat(file.fd(), &ours) == 0 && ours.st_ino == named->st_ino && ours.st_dev == named->st_dev;
}

}  // namespace

Result<std::optional<File>> PartialFile::lock(const fs::path& path, const std::function<bool()>& is_there,
                                              const OnWait& on_wait, const std::stop_token& stop) {
    for (;;) {
        if (is_there()) return std::nullopt;
        File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file.is_open()) return std::unexpected(disk_error(fmt::format("cannot write {}", path.string()), errno));
        if (::flock(file.fd(), LOCK_EX | LOCK_NB) == 0) {
            // It may have been finished or discarded between the two calls.
            if (!is_named(file, path)) continue;
            if (!is_there()) return file;
            ::unlink(path.c_str());
            return std::nullopt;
        }
        if (const auto state = read_state(path)) on_wait(state->done.bytes(), state->size);
        if (!pause(stop, kLockLook)) return cancelled();
    }
}

PartialFile::PartialFile(fs::path path, File file, std::uint64_t size, std::string validator, std::stop_token stop)
    : path_(std::move(path)),
      state_path_(state_of(path_)),
      file_(std::move(file)),
      size_(size),
      validator_(std::move(validator)),
      stop_(std::move(stop)) {
    struct stat status {};
    const bool has_status = fstat(file_.fd(), &status) == 0;
    RangeSet done;
    if (auto state = read_state(path_); state && has_status && state->size == size_ && state->validator == validator_) {
        RangeSet there = certain(*state);
        const std::uint64_t end = there.ranges().empty() ? 0 : there.ranges().back().end;
        if (end <= static_cast<std::uint64_t>(status.st_size)) {
            done = std::move(there);
            synced_ = std::move(state->synced);
        }
    }
    // What lies behind the end would be in the result, and not in its sum.
    const std::uint64_t most = done.bytes() == 0 ? 0 : size_;
    if (has_status && static_cast<std::uint64_t>(status.st_size) > most &&
        ::ftruncate(file_.fd(), static_cast<off_t>(most)) != 0) {
        error_ = disk_error(fmt::format("cannot write {}", path_.string()), errno);
    }
    resumed_bytes_ = done.bytes();
    start(std::move(done));
}

PartialFile::~PartialFile() {
    if (!gone_ && inflow_->flush() && completed() > 0) {
        keeper_ = {};
        if (!error_ && synced_ != inflow_->written()) static_cast<void>(sync());
    }
    stop();
    if (!gone_ && written_bytes_ == 0) discard();  // nothing to go on from
}

void PartialFile::start(RangeSet there) {
    written_bytes_ = saved_bytes_ = started_bytes_ = there.bytes();
    inflow_.emplace(file_, path_.string(), size_, std::move(there), [this](std::uint64_t bytes) {
        const std::lock_guard lock(mutex_);
        written_bytes_ += bytes;
        if (written_bytes_ - started_bytes_ >= kStartBytes || written_bytes_ == size_) can_keep_.notify_one();
    });
    keeper_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
}

void PartialFile::stop() {
    keeper_ = {};
    inflow_.reset();
}

std::vector<Range> PartialFile::missing(std::uint64_t most) const {
    return inflow_->written().missing(size_, most);
}

Result<void> PartialFile::write(std::uint64_t offset, Bytes bytes) {
    {
        const std::uint64_t known = completed() + bytes.size();
        std::unique_lock lock(mutex_);
        saved_.wait(lock, stop_, [&] { return error_ || known - saved_bytes_ <= kMostUnsaved; });
        if (error_) return std::unexpected(*error_);
    }
    return inflow_->add(offset, bytes, stop_);
}

Result<void> PartialFile::start_over() {
    stop();
    synced_ = {};
    resumed_bytes_ = 0;
    // The state first: it must never tell of data that is not there.
    ::unlink(state_path_.c_str());
    if (::ftruncate(file_.fd(), 0) != 0) {
        return std::unexpected(disk_error(fmt::format("cannot write {}", path_.string()), errno));
    }
    start({});
    return {};
}

Result<Digest> PartialFile::digest() {
    return inflow_->digest(stop_);
}

void PartialFile::keep(const std::stop_token& stop) {
    auto next_sync = std::chrono::steady_clock::now() + kSyncEvery;
    std::unique_lock lock(mutex_);
    for (;;) {
        can_keep_.wait_until(lock, stop, next_sync, [this] {
            return written_bytes_ - started_bytes_ >= kStartBytes || written_bytes_ == size_;
        });
        // What is whole is about to become something else.
        if (stop.stop_requested() || written_bytes_ == size_) return;
        const bool is_new = written_bytes_ != synced_.bytes();
        const bool saves = written_bytes_ - saved_bytes_ >= kSaveBytes;
        const bool syncs = std::chrono::steady_clock::now() >= next_sync;
        started_bytes_ = written_bytes_;
        lock.unlock();
        Result<void> kept;
        if (syncs) {
            if (is_new) kept = sync();
            next_sync = std::chrono::steady_clock::now() + kSyncEvery;
        } else {
            // Only a hint: what the disk cannot write it says at the next sync.
            ::sync_file_range(file_.fd(), 0, 0, SYNC_FILE_RANGE_WRITE);
            if (saves) kept = save();
        }
        lock.lock();
        if (!kept) {
            error_ = std::move(kept.error());
            saved_.notify_all();
            return;
        }
    }
}

Result<void> PartialFile::save() {
    const PartialState state{size_, validator_, inflow_->written(), boot_of_machine(), synced_};
    auto file = TempFile::create(path_.parent_path());
    if (!file) return std::unexpected(std::move(file.error()));
    const std::string text = encode_state(state);
    if (auto done = write_all(file->file(), std::as_bytes(std::span(text))); !done) return done;
    if (auto done = file->commit(state_path_); !done) return done;
    const std::lock_guard lock(mutex_);
    saved_bytes_ = state.done.bytes();
    saved_.notify_all();
    return {};
}

Result<void> PartialFile::sync() {
    RangeSet written = inflow_->written();
    if (::fdatasync(file_.fd()) != 0) {
        return std::unexpected(disk_error(fmt::format("cannot write {}", path_.string()), errno));
    }
    synced_ = std::move(written);
    return save();
}

void PartialFile::discard() {
    stop();
    gone_ = true;
    ::unlink(state_path_.c_str());
    ::unlink(path_.c_str());
}

File PartialFile::take() {
    stop();
    gone_ = true;
    ::unlink(state_path_.c_str());
    return std::move(file_);
}

}  // namespace sutazai::fetch
