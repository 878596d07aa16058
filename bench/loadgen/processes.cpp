#include "processes.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace sutazai::loadgen {
namespace {

struct Stat {
    int parent = 0;
    std::uint64_t ticks = 0;  ///< utime + stime + cutime + cstime
};

/// proc(5): the fields after the last ')' begin with the third, the state.
bool read_stat(const std::filesystem::path& path, Stat& stat) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) return false;
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    std::string skipped;
    fields >> skipped >> stat.parent;
    for (int i = 5; i <= 13; ++i) fields >> skipped;
    for (int i = 14; i <= 17; ++i) {
        std::uint64_t ticks = 0;
        fields >> ticks;
        stat.ticks += ticks;
    }
    return static_cast<bool>(fields);
}

}  // namespace

double cpu_seconds(const std::vector<int>& pids) {
    std::map<int, Stat> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename();
        int pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
        Stat stat;
        if (read_stat(entry.path() / "stat", stat)) all.emplace(pid, stat);
    }
    std::set<int> wanted(pids.begin(), pids.end());
    for (std::size_t before = 0; before != wanted.size();) {
        before = wanted.size();
        for (const auto& [pid, stat] : all) {
            if (wanted.contains(stat.parent)) wanted.insert(pid);
        }
    }
    std::uint64_t ticks = 0;
    for (const int pid : wanted) {
        if (const auto found = all.find(pid); found != all.end()) ticks += found->second.ticks;
    }
    return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double own_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace sutazai::loadgen
