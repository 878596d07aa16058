#include "fetch/partial_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "fetch/client.h"

namespace sutazai::fetch {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr std::uint64_t kSaveBytes = PartialFile::kMostUnsaved / 2;
constexpr auto kSaveEvery = 2s;
constexpr std::size_t kSumBytes = 256 << 10;
constexpr auto kLockLook = 100ms;

fs::path state_of(const fs::path& path) {
    return path.string() + "-state";
}

std::optional<PartialState> read_state(const fs::path& path) {
    const auto text = read_text(state_of(path), kMostStateBytes);
    return text ? decode_state(*text) : std::nullopt;
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
    auto state = read_state(path_);
    if (state && has_status && state->size == size_ && state->validator == validator_ &&
        (state->done.ranges().empty() ||
         state->done.ranges().back().end <= static_cast<std::uint64_t>(status.st_size))) {
        done_ = std::move(state->done);
    }
    // What lies behind the end would be in the result, and not in its sum.
    const std::uint64_t most = done_.bytes() == 0 ? 0 : size_;
    if (has_status && static_cast<std::uint64_t>(status.st_size) > most &&
        ::ftruncate(file_.fd(), static_cast<off_t>(most)) != 0) {
        error_ = disk_error(fmt::format("cannot write {}", path_.string()), errno);
    }
    saved_bytes_ = resumed_bytes_ = done_.bytes();
    start_threads();
}

PartialFile::~PartialFile() {
    stop_threads();
    if (gone_) return;
    if (done_.bytes() == 0) {
        discard();  // nothing to go on from
    } else if (!error_ && done_.bytes() != saved_bytes_) {
        static_cast<void>(save());
    }
}

void PartialFile::start_threads() {
    summer_ = std::jthread([this](const std::stop_token& stop) { sum(stop); });
    keeper_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
}

void PartialFile::stop_threads() {
    summer_ = {};
    keeper_ = {};
}

std::vector<Range> PartialFile::missing(std::uint64_t most) const {
    const std::lock_guard lock(mutex_);
    return done_.missing(size_, most);
}

std::uint64_t PartialFile::completed() const {
    const std::lock_guard lock(mutex_);
    return done_.bytes();
}

Result<void> PartialFile::write(std::uint64_t offset, Bytes bytes) {
    const Range range{offset, offset + bytes.size()};
    std::unique_lock lock(mutex_);
    const std::uint64_t length = bytes.size();
    changed_.wait(lock, stop_, [&] { return error_ || done_.bytes() + length - saved_bytes_ <= kMostUnsaved; });
    if (error_) return std::unexpected(*error_);
    lock.unlock();
    while (!bytes.empty()) {
        const auto written = ::pwrite(file_.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            return std::unexpected(disk_error(fmt::format("cannot write {}", path_.string()), errno));
        }
        offset += static_cast<std::uint64_t>(written);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    lock.lock();
    const bool moves_front = range.begin <= done_.front() && done_.front() < range.end;
    done_.add(range);
    // A thread that has much to do is not woken for each piece.
    const bool wakes_summer = moves_front && (done_.front() - summed_bytes_ >= kSumBytes || done_.front() == size_);
    if (wakes_summer || done_.bytes() - saved_bytes_ >= kSaveBytes || done_.bytes() == size_) changed_.notify_all();
    return {};
}

Result<void> PartialFile::start_over() {
    stop_threads();
    done_ = {};
    saved_bytes_ = summed_bytes_ = resumed_bytes_ = 0;
    sum_ = {};
    // The state first: it must never tell of data that is not there.
    ::unlink(state_path_.c_str());
    if (::ftruncate(file_.fd(), 0) != 0) {
        return std::unexpected(disk_error(fmt::format("cannot write {}", path_.string()), errno));
    }
    start_threads();
    return {};
}

Result<Digest> PartialFile::digest() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop_, [this] { return error_ || summed_bytes_ == size_; });
    if (error_) return std::unexpected(*error_);
    if (summed_bytes_ != size_) return cancelled();
    lock.unlock();
    stop_threads();
    return std::exchange(sum_, {}).finish();
}

void PartialFile::sum(const std::stop_token& stop) {
    std::vector<std::byte> buffer(kSumBytes);
    std::unique_lock lock(mutex_);
    const auto is_worth_it = [this] {
        const std::uint64_t front = done_.front();
        return front - summed_bytes_ >= kSumBytes || (front == size_ && summed_bytes_ < size_);
    };
    while (changed_.wait(lock, stop, is_worth_it)) {
        const auto length = std::min<std::uint64_t>(buffer.size(), done_.front() - summed_bytes_);
        const std::span piece(buffer.data(), static_cast<std::size_t>(length));
        const std::uint64_t at = summed_bytes_;
        lock.unlock();
        const auto read = read_at(file_, at, piece);
        if (!read) return fail_with(read.error());
        sum_.add(piece);
        lock.lock();
        summed_bytes_ += length;
        if (summed_bytes_ == size_) changed_.notify_all();
    }
}

void PartialFile::keep(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait_for(lock, stop, kSaveEvery,
                          [this] { return done_.bytes() - saved_bytes_ >= kSaveBytes || done_.bytes() == size_; });
        // What is whole is about to become something else.
        if (stop.stop_requested() || done_.bytes() == size_) return;
        if (done_.bytes() == saved_bytes_) continue;
        lock.unlock();
        auto saved = save();
        if (!saved) return fail_with(std::move(saved.error()));
        lock.lock();
    }
}

Result<void> PartialFile::save() {
    PartialState state{size_, validator_, {}};
    {
        const std::lock_guard lock(mutex_);
        state.done = done_;
    }
    if (::fdatasync(file_.fd()) != 0) {
        return std::unexpected(disk_error(fmt::format("cannot write {}", path_.string()), errno));
    }
    auto written = write_text(state_path_, encode_state(state), path_.parent_path());
    if (!written) return written;
    const std::lock_guard lock(mutex_);
    saved_bytes_ = state.done.bytes();
    changed_.notify_all();
    return {};
}

void PartialFile::fail_with(Error error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    changed_.notify_all();
}

void PartialFile::discard() {
    stop_threads();
    gone_ = true;
    ::unlink(state_path_.c_str());
    ::unlink(path_.c_str());
}

File PartialFile::take() {
    stop_threads();
    gone_ = true;
    ::unlink(state_path_.c_str());
    return std::move(file_);
}

}  // namespace sutazai::fetch
