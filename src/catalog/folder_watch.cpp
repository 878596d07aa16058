#include "catalog/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "base/model_parts.h"

namespace sutazai::catalog {
namespace {

constexpr std::uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
                                  IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

FolderWatch::FolderWatch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

FolderWatch::~FolderWatch() {
    if (fd_ >= 0) close(fd_);
}

bool FolderWatch::watch(const std::set<std::string>& folders, std::set<std::string> files) {
    files_ = std::move(files);
    if (fd_ < 0) return false;
    bool all = true;
    // The kernel gives the same watch again for a folder that has one.
    for (const std::string& folder : folders) all &= inotify_add_watch(fd_, folder.c_str(), kEvents) >= 0;
    return all;
}

bool FolderWatch::has_news() {
    read_all();
    return has_news_;
}

void FolderWatch::clear() {
    read_all();
    has_news_ = false;
}

void FolderWatch::read_all() {
    alignas(inotify_event) char buffer[16 << 10];
    while (fd_ >= 0) {
        const ssize_t size = read(fd_, buffer, sizeof buffer);
        if (size <= 0) return;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
            // Without a name it is about a folder itself, or events were lost.
            const std::string name(event->len > 0 ? event->name : "");
            const auto dot = name.rfind('.');
            has_news_ |= name.empty() || files_.contains(name) ||
                         (dot != std::string::npos && is_gguf_extension(std::string_view(name).substr(dot)));
        }
    }
}

}  // namespace sutazai::catalog
