#include "models/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace sutazai::models {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

std::uint64_t machine_memory(const fs::path& root) {
    std::ifstream in(root / "proc/meminfo");
    std::string key;
    for (std::uint64_t kib = 0; in >> key >> kib; in.ignore(256, '\n')) {
        if (key == "MemTotal:") return kib << 10;
    }
    return kNone;
}

/// A file that holds a number; "max" is no limit, and version 1 says so with a huge number.
std::uint64_t read_limit(const fs::path& file) {
    std::ifstream in(file);
    std::uint64_t value = 0;
    return in >> value ? value : kNone;
}

/// The smallest limit of the group `path` below `mount` and of all above it. In a container the path may be that of the
/// host, where there is nothing; then the mount itself holds the container's group.
std::uint64_t smallest_limit(const fs::path& mount, std::string_view path, const char* file) {
    std::uint64_t smallest = kNone;
    for (fs::path group = fs::path(path).relative_path();; group = group.parent_path()) {
        smallest = std::min(smallest, read_limit(mount / group / file));
        if (group.empty()) return smallest;
    }
}

}  // namespace

std::uint64_t memory_limit(const fs::path& root) {
    std::uint64_t limit = machine_memory(root);
    std::ifstream groups(root / "proc/self/cgroup");
    const fs::path mount = root / "sys/fs/cgroup";
    for (std::string line; std::getline(groups, line);) {  // number:controllers:path
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string_view path = std::string_view(line).substr(second + 1);
        if (controllers == ",,") {
            limit = std::min(limit, smallest_limit(mount, path, "memory.max"));
        } else if (controllers.find(",memory,") != std::string::npos) {
            limit = std::min(limit, smallest_limit(mount / "memory", path, "memory.limit_in_bytes"));
        }
    }
    return limit == kNone ? 0 : limit;
}

std::uint64_t default_cache_bytes(const fs::path& root) {
    const std::uint64_t limit = memory_limit(root);
    return limit == 0 ? kNone : limit / 5 * 4;
}

}  // namespace sutazai::models
