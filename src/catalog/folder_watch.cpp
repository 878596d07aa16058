#include "catalog/folder_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace sutazai::catalog {
namespace {

constexpr std::uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
                                  IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

FolderWatch::FolderWatch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

FolderWatch::~FolderWatch() {
    if (fd_ >= 0) close(fd_);
}

bool FolderWatch::watch(const std::set<std::string>& folders) {
    if (fd_ < 0) return false;
    bool all = true;
    // The kernel gives the same watch again for a folder that has one.
    for (const std::string& folder : folders) all &= inotify_add_watch(fd_, folder.c_str(), kEvents) >= 0;
    return all;
}

bool FolderWatch::has_news() const {
    pollfd waiting{fd_, POLLIN, 0};
    return fd_ >= 0 && poll(&waiting, 1, 0) > 0;
}

void FolderWatch::clear() {
    alignas(inotify_event) char buffer[16 << 10];
    while (fd_ >= 0 && read(fd_, buffer, sizeof buffer) > 0) {
    }
}

}  // namespace sutazai::catalog
