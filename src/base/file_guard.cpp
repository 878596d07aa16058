#include "base/file_guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace sutazai {
namespace {

/// Longer than a tick of the clock that files get their times from (10 ms at most).
constexpr std::chrono::milliseconds kTick{20};
constexpr int kMostTicks = 5;

std::optional<FileStamp> stamp_of(int file) {
    struct stat status {};
    if (fstat(file, &status) != 0) return std::nullopt;
    return sutazai::stamp_of(status);
}

bool is_fresh(const FileStamp& stamp) {
    const auto age = std::chrono::system_clock::now().time_since_epoch() - std::chrono::nanoseconds(stamp.modified_ns);
    return age < kTick && age > -kTick;
}

}  // namespace

Result<FileGuard> FileGuard::open(const std::vector<std::string>& paths) {
    FileGuard out;
    out.paths_ = paths;
    for (const std::string& path : paths) {
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return fail(ErrorCode::kLoadFailed, fmt::format("{}: {}", path, std::strerror(errno)));
        out.files_.push_back(file);
        auto stamp = stamp_of(file);
        for (int n = 0; n < kMostTicks && stamp && is_fresh(*stamp); ++n) {
            std::this_thread::sleep_for(kTick);
            stamp = stamp_of(file);
        }
        if (!stamp) return fail(ErrorCode::kLoadFailed, fmt::format("{}: {}", path, std::strerror(errno)));
        out.stamps_.push_back(*stamp);
    }
    return out;
}

FileGuard::FileGuard(FileGuard&& other) noexcept
    : paths_(std::move(other.paths_)), files_(std::exchange(other.files_, {})), stamps_(std::move(other.stamps_)) {}

FileGuard::~FileGuard() {
    for (const int file : files_) close(file);
}

bool FileGuard::intact() const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
        const auto now = stamp_of(files_[i]);
        if (!now || !now->same_content(stamps_[i])) return false;
    }
    return true;
}

bool FileGuard::in_place() const {
    for (std::size_t i = 0; i < paths_.size(); ++i) {
        const auto now = sutazai::stamp_of(paths_[i]);
        if (!now || !now->same_content(stamps_[i])) return false;
    }
    return true;
}

}  // namespace sutazai
