#include "base/small_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/temporary_folder.h"

namespace sutazai {
namespace {

namespace fs = std::filesystem;

class SmallFile : public testing::Test {
  protected:
    std::string path() const { return (temporary_.path() / "file").string(); }
    std::string error(std::size_t most = 100) const {
        const auto text = read_small_file(path(), most);
        return text ? "none" : text.error().message;
    }
    TemporaryFolder temporary_;
};

TEST_F(SmallFile, IsReadToItsEnd) {
    std::ofstream(path()) << "";
    EXPECT_EQ(read_small_file(path(), 0), "");
    const std::string text(100'000, 'x');
    std::ofstream(path()) << text;
    EXPECT_EQ(read_small_file(path(), 100'000), text);
    EXPECT_TRUE(error(99'999).starts_with("is larger than ")) << error(99'999);
    fs::resize_file(path(), std::uintmax_t{1} << 40);
    EXPECT_EQ(error(1 << 20), "is larger than 1 MiB") << "and not read to its end";
    EXPECT_TRUE(read_small_file("/proc/self/status", 1 << 20)->starts_with("Name:")) << "which has no size";
}

TEST_F(SmallFile, WhatIsNotThereIsMissing) {
    EXPECT_EQ(read_small_file(path(), 9).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(error(), "is missing");
    std::ofstream(path()) << "x";
    EXPECT_EQ(read_small_file(path() + "/in", 9).error().code, ErrorCode::kNotFound);
    fs::remove(path());
    fs::create_symlink("nowhere", path());
    EXPECT_EQ(error(), "is a link to a file that is not there");
    EXPECT_EQ(read_small_file(path(), 9).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SmallFile, WhatIsNoFileIsToldByItsKind) {
    fs::create_directory(path());
    EXPECT_EQ(error(), "is a folder; it must be a file");
    fs::remove(path());
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    EXPECT_EQ(error(), "is a pipe; it must be a file") << "nobody waits for its writer";
    fs::remove(path());
    fs::create_symlink("/dev/zero", path());
    EXPECT_EQ(error(), "is a device; it must be a file");
    fs::remove(path());

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path().size(), sizeof address.sun_path);
    std::strcpy(address.sun_path, path().c_str());  // NOLINT(clang-analyzer-security.insecureAPI.strcpy)
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(error(), "is a socket; it must be a file");
    ::close(fd);
}

TEST_F(SmallFile, OneThatMayNotBeReadIsRefused) {
    std::ofstream(path()) << "x";
    fs::permissions(path(), fs::perms::none);
    // Root may read everything: somebody else tries, who may get as far as the file.
    fs::permissions(temporary_.path(), fs::perms::all);
    ::testing::FLAGS_gtest_death_test_style = "fast";
    const auto try_it = [this] {
        constexpr uid_t kNobody = 65534;
        if (::geteuid() == 0 && ::setuid(kNobody) != 0) ::_exit(3);
        ::_exit(error() == "cannot be read: Permission denied" ? 0 : 1);
    };
    EXPECT_EXIT(try_it(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sutazai
