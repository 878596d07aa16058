#include "models/process_memory.h"

#include <fmt/format.h>

#include <fstream>
#include <string>

namespace sutazai::models {

std::optional<ProcessMemory> memory_of(int pid) {
    std::ifstream in(fmt::format("/proc/{}/status", pid));
    ProcessMemory out;
    bool found = false;
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(':');
        if (!line.starts_with("Rss") || colon == std::string::npos) continue;
        const std::uint64_t bytes = std::strtoull(line.c_str() + colon + 1, nullptr, 10) << 10;
        if (line.starts_with("RssFile:")) {
            out.file += bytes;
        } else {
            out.anonymous += bytes;  // RssAnon and RssShmem
        }
        found = true;
    }
    if (!found) return std::nullopt;
    return out;
}

}  // namespace sutazai::models
