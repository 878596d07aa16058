#include "base/file_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temporary_folder.h"

namespace sutazai {
namespace {

namespace fs = std::filesystem;

class FileGuardTest : public testing::Test {
  protected:
    FileGuardTest() {
        for (const char* name : {"a", "b"}) std::ofstream(folder_ / name) << std::string(10'000, 'x');
    }

    FileGuard guard() const {
        auto opened = FileGuard::open({(folder_ / "a").string(), (folder_ / "b").string()});
        if (!opened) throw std::runtime_error(opened.error().message);
        return std::move(*opened);
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
};

TEST_F(FileGuardTest, AWriteIsSeenAtOnceEvenRightAfterTheFileWasMade) {
    for (int round = 0; round < 20; ++round) {
        const FileGuard files = guard();
        EXPECT_TRUE(files.intact());
        std::fstream(folder_ / "b", std::ios::in | std::ios::out).put('y');
        EXPECT_FALSE(files.intact()) << "round " << round;
    }
}

TEST_F(FileGuardTest, SoIsAWriteThroughAMap) {
    const FileGuard files = guard();
    const int file = open((folder_ / "a").c_str(), O_RDWR);
    void* map = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(map, MAP_FAILED);
    EXPECT_TRUE(files.intact());
    *static_cast<volatile char*>(map) = 'y';
    // On a file system in memory the kernel does not notice.
    if (files.intact()) GTEST_SKIP() << "this file system keeps no time of such writes";
    munmap(map, 4096);
    close(file);
}

TEST_F(FileGuardTest, SoIsACutFile) {
    const FileGuard files = guard();
    fs::resize_file(folder_ / "a", 5000);
    EXPECT_FALSE(files.intact());
}

TEST_F(FileGuardTest, AnotherFileUnderTheNameIsNoWrite) {
    const FileGuard files = guard();
    EXPECT_TRUE(files.in_place());
    std::ofstream(folder_ / "fresh") << "z";
    fs::rename(folder_ / "fresh", folder_ / "a");
    EXPECT_TRUE(files.intact()) << "what was opened is as it was";
    EXPECT_FALSE(files.in_place());
    fs::remove(folder_ / "b");
    EXPECT_TRUE(files.intact());
}

TEST_F(FileGuardTest, AMissingFileIsAnError) {
    const auto opened = FileGuard::open({(folder_ / "none").string()});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kLoadFailed);
}

}  // namespace
}  // namespace sutazai
