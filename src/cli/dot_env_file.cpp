#include "cli/dot_env_file.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string>

#include "base/small_file.h"
#include "config/settings.h"

namespace sutazai::cli {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;

/// What people put in a file's place to hide it.
bool is_dev_null(const std::string& path) {
    struct stat about {};
    return ::stat(path.c_str(), &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(1, 3);
}

}  // namespace

Result<std::map<std::string, std::string>> read_dot_env(const std::filesystem::path& path) {
    if (is_dev_null(path)) return {};
    const auto text = read_small_file(path, kMostBytes);
    if (text) return config::parse_dot_env(*text);
    if (text.error().code == ErrorCode::kNotFound) return {};
    return fail(ErrorCode::kInvalidArgument, "the settings file .env " + text.error().message, ".env");
}

}  // namespace sutazai::cli
