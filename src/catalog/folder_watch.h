#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

/// News of changes in folders, from the kernel (inotify).
namespace sutazai::catalog {

/// Hears when a file that matters came into one of the folders, went or was written. Changes of other machines on a
/// network file system, and of the target of a link, do not show. One thread at a time.
class FolderWatch {
  public:
    FolderWatch();
    ~FolderWatch();
    FolderWatch(const FolderWatch&) = delete;
    FolderWatch& operator=(const FolderWatch&) = delete;

    /// Becomes readable with each change, also with those that do not matter; -1 when there is no inotify to be had.
    [[nodiscard]] int fd() const { return fd_; }

    enum class Matters : std::uint8_t {
        kModels,     ///< GGUF files, and those of watch_file()
        kEverything  ///< every file and folder in it
    };
    /// From here on it is said anew what to listen to, and nothing else counts. What is watched already costs little.
    void begin();
    /// Before the folder is read, so that nothing is missed. For one that is not there its coming is listened for.
    void watch_folder(const std::string& folder, Matters what);
    /// One file, in whatever folder, whatever its name ends in.
    void watch_file(const std::string& path);
    /// Is all that was said since begin() heard? Not so when the kernel has no more watches, for example.
    [[nodiscard]] bool hears_all() const { return hears_all_; }

    /// Is there news that clear() has not taken yet? Never waits.
    [[nodiscard]] bool has_news();
    void clear();

  private:
    [[nodiscard]] bool listen(const std::string& folder, Matters what);
    void read_all();

    int fd_ = -1;
    std::unordered_map<int, Matters> folders_;  // by the kernel's number
    std::unordered_set<std::string> files_;     // names
    bool hears_all_ = false;
    bool has_news_ = false;
};

}  // namespace sutazai::catalog
