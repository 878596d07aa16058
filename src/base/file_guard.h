#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/model_parts.h"

namespace sutazai {

/// Holds the files of a model open and tells whether anybody has written to them since. Who maps them computes with
/// what is written, so what was computed counts only when intact() is asked after it and says true: the kernel moves a
/// file's time before the first new byte is there. docs/decisions/0016-changed-files.md says what that leaves open.
class FileGuard {
  public:
    /// kLoadFailed when a file cannot be opened. Waits for some milliseconds when one was written just now, so that a
    /// later write cannot have the same time.
    [[nodiscard]] static Result<FileGuard> open(const std::vector<std::string>& paths);
    ~FileGuard();
    FileGuard(FileGuard&& other) noexcept;
    FileGuard& operator=(FileGuard&&) = delete;

    /// About a microsecond a file; any thread. Renaming or removing a file is no change of what was in it.
    [[nodiscard]] bool intact() const;
    /// Do the names still lead to these files?
    [[nodiscard]] bool in_place() const;
    [[nodiscard]] const FileStamps& stamps() const { return stamps_; }

  private:
    FileGuard() = default;
    std::vector<std::string> paths_;
    std::vector<int> files_;
    FileStamps stamps_;
};

}  // namespace sutazai
