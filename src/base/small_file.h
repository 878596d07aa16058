#pragma once

#include <cstddef>
#include <string>

#include "base/error.h"

namespace sutazai {

/// All bytes of a regular file; links are followed. kNotFound when there is nothing of that name, kInvalidArgument when
/// it is a folder, a pipe, a device, a link that leads nowhere, or longer than `most` bytes, kInternal when it cannot
/// be read. The message begins with a verb ("is missing") and holds no path. Never waits for a pipe's writer; blocks on
/// the disk; any thread.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, std::size_t most);

}  // namespace sutazai
