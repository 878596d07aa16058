#include "catalog/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "base/model_parts.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB |
                                  IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

FolderWatch::FolderWatch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {}

FolderWatch::~FolderWatch() {
    if (fd_ >= 0) close(fd_);
}

void FolderWatch::begin() {
    folders_.clear();
    files_.clear();
    hears_all_ = fd_ >= 0;
}

void FolderWatch::watch_folder(const std::string& folder, Matters what) {
    if (!listen(folder, what)) hears_all_ = false;
}

void FolderWatch::watch_file(const std::string& path) {
    files_.insert(fs::path(path).filename().string());
    watch_folder(fs::path(path).parent_path().string(), Matters::kModels);
}

bool FolderWatch::listen(const std::string& folder, Matters what) {
    if (fd_ < 0) return false;
    // Twice: it may come while its parent is being watched.
    for (int n = 0; n < 2; ++n) {
        // The kernel gives the same watch again for a folder that has one.
        if (const int number = inotify_add_watch(fd_, folder.c_str(), kEvents); number >= 0) {
            const auto known = folders_.emplace(number, what).first;
            if (what == Matters::kEverything) known->second = what;
            return true;
        }
        const fs::path path(folder);
        if (n > 0 || errno != ENOENT || !path.has_relative_path()) break;
        files_.insert(path.filename().string());
        if (!listen(path.parent_path().string(), Matters::kModels)) return false;
    }
    return errno == ENOENT;
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
            if (name.empty()) {
                has_news_ = true;
                continue;
            }
            const auto folder = folders_.find(event->wd);
            if (folder == folders_.end()) continue;
            const auto dot = name.rfind('.');
            has_news_ |= folder->second == Matters::kEverything || files_.contains(name) ||
                         (dot != std::string::npos && is_gguf_extension(std::string_view(name).substr(dot)));
        }
    }
}

}  // namespace sutazai::catalog
