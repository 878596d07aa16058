#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::status {

/// The machine that the server runs on, as of now.
struct Machine {
    std::string processor;  ///< as the kernel calls it; empty: it does not say
    unsigned processors = 0;
    std::uint64_t memory_bytes = 0;     ///< 0: not known
    std::uint64_t available_bytes = 0;  ///< of it, for whoever wants it
    struct Disk {
        std::string what;  ///< is kept there: "home"
        std::uint64_t bytes = 0;
        std::uint64_t free_bytes = 0;
    };
    std::vector<Disk> disks;
};

using Folders = std::vector<std::pair<std::string, std::filesystem::path>>;  ///< what is kept in each

/// Reads /proc and asks the file systems, which may take long: not for the I/O thread. Of a folder that is not there
/// yet the one that it would be in counts; what cannot be asked is left out. `root` is the file system's; tests have
/// their own.
[[nodiscard]] Machine look_at_machine(const Folders& folders, const std::filesystem::path& root = "/");

}  // namespace sutazai::status
