#include "status/machine.h"

#include <fstream>
#include <system_error>
#include <thread>

namespace sutazai::status {

namespace fs = std::filesystem;

namespace {

std::string processor_name(const fs::path& root) {
    std::ifstream in(root / "proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
    }
    return {};
}

/// The nearest folder that is there.
fs::path existing(fs::path folder) {
    std::error_code failure;
    while (!folder.empty() && !fs::exists(folder, failure) && folder != folder.parent_path()) {
        folder = folder.parent_path();
    }
    return folder.empty() ? fs::path(".") : folder;
}

}  // namespace

Machine look_at_machine(const Folders& folders, const fs::path& root) {
    Machine out;
    out.processor = processor_name(root);
    out.processors = std::thread::hardware_concurrency();
    std::ifstream in(root / "proc/meminfo");
    std::string key;
    for (std::uint64_t kib = 0; in >> key >> kib; in.ignore(256, '\n')) {
        if (key == "MemTotal:") out.memory_bytes = kib << 10;
        if (key == "MemAvailable:") out.available_bytes = kib << 10;
    }
    for (const auto& [what, folder] : folders) {
        std::error_code failure;
        const fs::space_info room = fs::space(existing(folder), failure);
        if (!failure) out.disks.push_back({what, room.capacity, room.available});
    }
    return out;
}

}  // namespace sutazai::status
