#pragma once

#include <cstdint>
#include <set>
#include <string>

/// News of changes in folders, from the kernel (inotify).
namespace sutazai::catalog {

/// Hears when a GGUF file, or another file that matters, came into one of the folders, went or was written. Changes of
/// other machines on a network file system, and of the target of a link, do not show. One thread at a time.
class FolderWatch {
  public:
    FolderWatch();
    ~FolderWatch();
    FolderWatch(const FolderWatch&) = delete;
    FolderWatch& operator=(const FolderWatch&) = delete;

    /// Becomes readable with each change, also with those that do not matter; -1 when there is no inotify to be had.
    [[nodiscard]] int fd() const { return fd_; }

    /// Watches `folders` from now on; those that are watched already go on being it. `files` are names that matter
    /// whatever they end in. False when a folder cannot be watched: it is not there, or the kernel has no more watches.
    bool watch(const std::set<std::string>& folders, std::set<std::string> files = {});

    /// Is there news that clear() has not taken yet? Never waits.
    [[nodiscard]] bool has_news();
    void clear();

  private:
    void read_all();

    int fd_ = -1;
    std::set<std::string> files_;
    bool has_news_ = false;
};

}  // namespace sutazai::catalog
