#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/model_parts.h"

/// What was computed of a model file, kept in `<artifacts>/digests/` under the file's path, device, inode, size, mtime
/// and ctime, with a checksum. Blocks on the disk; any thread; no state.
namespace sutazai::artifact {

/// A file that changed so short a time ago may change again without its times showing it: nothing is kept of it.
inline constexpr std::chrono::seconds kSettleTime{2};

/// `kind` is the ending of the record's name; nothing when there is none for this path and stamp.
[[nodiscard]] std::optional<std::string> read_record(const std::filesystem::path& artifacts,
                                                     const std::filesystem::path& absolute, const FileStamp& stamp,
                                                     std::string_view kind, std::size_t most_bytes);

/// One that cannot be written is no error. `text` ends with a line feed.
void write_record(const std::filesystem::path& artifacts, const std::filesystem::path& absolute, const FileStamp& stamp,
                  std::string_view kind, std::string_view text);

}  // namespace sutazai::artifact
