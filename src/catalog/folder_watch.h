#pragma once

#include <cstdint>
#include <set>
#include <string>

/// News of changes in folders, from the kernel (inotify).
namespace sutazai::catalog {

/// One descriptor that becomes readable when a file of one of the folders came, went or was written. Changes of other
/// machines on a network file system, and of the target of a link, do not show. One thread at a time.
class FolderWatch {
  public:
    FolderWatch();
    ~FolderWatch();
    FolderWatch(const FolderWatch&) = delete;
    FolderWatch& operator=(const FolderWatch&) = delete;

    /// To wait for; -1 when there is no inotify to be had.
    [[nodiscard]] int fd() const { return fd_; }

    /// Watches `folders` from now on; those that are watched already go on being it. False when one of them cannot be:
    /// it is not there, or the kernel has no more watches.
    bool watch(const std::set<std::string>& folders);

    /// Is there news that clear() has not taken yet? Never waits.
    [[nodiscard]] bool has_news() const;
    void clear();

  private:
    int fd_ = -1;
};

}  // namespace sutazai::catalog
