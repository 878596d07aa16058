#pragma once

#include <cstddef>
#include <string>

#include "base/error.h"

namespace sutazai::catalog {

/// All bytes of a regular file. kNotFound when there is none, kInvalidArgument when it is longer than `most`,
/// kInternal when it cannot be read; the message begins with a verb ("is missing") and holds no path. Blocks on the
/// disk; any thread.
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, std::size_t most);

}  // namespace sutazai::catalog
