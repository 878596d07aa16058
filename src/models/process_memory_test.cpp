#include "models/process_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace sutazai::models {
namespace {

constexpr std::size_t kBytes = 32 << 20;
/// The kernel counts pages per thread and adds up now and then.
constexpr std::size_t kSlack = 4 << 20;

TEST(ProcessMemory, CountsWhatIsTouched) {
    const auto before = memory_of(::getpid());
    ASSERT_TRUE(before);
    EXPECT_GT(before->file, 0U);
    void* block = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(block, MAP_FAILED);
    const auto reserved = memory_of(::getpid());
    EXPECT_LT(reserved->anonymous, before->anonymous + kBytes / 2);
    std::memset(block, 1, kBytes);
    const auto touched = memory_of(::getpid());
    EXPECT_GE(touched->anonymous + kSlack, before->anonymous + kBytes);
    ::munmap(block, kBytes);
    EXPECT_LT(memory_of(::getpid())->anonymous, before->anonymous + kSlack);
}

TEST(ProcessMemory, KnowsNothingOfNobody) {
    EXPECT_FALSE(memory_of(-1));
}

}  // namespace
}  // namespace sutazai::models
