#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/error.h"

namespace sutazai::cli {

/// What a .env file sets; nothing when there is no such file, or /dev/null in its place. kInvalidArgument when there is
/// something of that name that is no readable file of at most 1 MiB, or that config::parse_dot_env() does not take.
/// Never waits, as for a pipe that nobody writes to.
[[nodiscard]] Result<std::map<std::string, std::string>> read_dot_env(const std::filesystem::path& path);

}  // namespace sutazai::cli
