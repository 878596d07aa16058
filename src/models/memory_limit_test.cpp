#include "models/memory_limit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>

namespace sutazai::models {
namespace {

namespace fs = std::filesystem;

class MemoryLimit : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "sutazai-limit-XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
        write("proc/meminfo", "MemTotal:       8192 kB\nMemFree:        1 kB\n");
    }
    void TearDown() override { fs::remove_all(root_); }

    void write(const fs::path& path, const std::string& text) const {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }

    fs::path root_;
};

TEST_F(MemoryLimit, IsTheMachinesWithoutGroups) {
    EXPECT_EQ(memory_limit(root_), 8192U << 10);
    EXPECT_EQ(default_cache_bytes(root_), (8192U << 10) / 5 * 4);
    write("proc/self/cgroup", "garbage\n0::/\n");
    EXPECT_EQ(memory_limit(root_), 8192U << 10);
}

TEST_F(MemoryLimit, IsTheSmallestOfTheGroupsAbove) {
    write("proc/self/cgroup", "0::/a/b\n");
    write("sys/fs/cgroup/a/b/memory.max", "max\n");
    EXPECT_EQ(memory_limit(root_), 8192U << 10);
    write("sys/fs/cgroup/a/memory.max", "1000000\n");
    EXPECT_EQ(memory_limit(root_), 1000000U);
    write("sys/fs/cgroup/a/b/memory.max", "500000\n");
    EXPECT_EQ(memory_limit(root_), 500000U);
}

TEST_F(MemoryLimit, KnowsVersionOne) {
    write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    EXPECT_EQ(memory_limit(root_), 8192U << 10);
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n");
    EXPECT_EQ(memory_limit(root_), 2000000U) << "in a container the path is the host's";
}

TEST_F(MemoryLimit, IsUnknownWhereNothingTells) {
    fs::remove_all(root_ / "proc");
    EXPECT_EQ(memory_limit(root_), 0U);
    EXPECT_EQ(default_cache_bytes(root_), std::numeric_limits<std::uint64_t>::max());
}

TEST(MemoryLimitHere, IsNoMoreThanTheMachineHas) {
    const auto pages = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES));
    EXPECT_GT(memory_limit(), 0U);
    EXPECT_LE(memory_limit(), pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) * 5 / 4);
}

}  // namespace
}  // namespace sutazai::models
