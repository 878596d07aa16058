#include "cli/dot_env_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/temporary_folder.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

class DotEnvFile : public testing::Test {
  protected:
    fs::path path() const { return temporary_.path() / ".env"; }
    std::string error() const {
        const auto values = read_dot_env(path());
        if (values) return "none";
        EXPECT_EQ(values.error().code, ErrorCode::kInvalidArgument);
        return values.error().message;
    }
    TemporaryFolder temporary_;
};

TEST_F(DotEnvFile, IsReadWhenItIsThere) {
    EXPECT_TRUE(read_dot_env(path())->empty());
    std::ofstream(path()) << "PORT=1\n";
    EXPECT_EQ(read_dot_env(path())->at("PORT"), "1");
    fs::rename(path(), temporary_.path() / "other");
    fs::create_symlink("other", path());
    EXPECT_EQ(read_dot_env(path())->at("PORT"), "1");
    fs::remove(temporary_.path() / "other");
    EXPECT_EQ(error(), "the settings file .env is a link to a file that is not there");
}

TEST_F(DotEnvFile, WhatIsNoFileIsRefused) {
    fs::create_directory(path());
    EXPECT_EQ(error(), "the settings file .env is a folder; it must be a file");
    fs::remove(path());
    ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
    EXPECT_EQ(error(), "the settings file .env is a pipe; it must be a file");
    fs::remove(path());
    fs::create_symlink("/dev/zero", path());
    EXPECT_EQ(error(), "the settings file .env is a device; it must be a file");
}

TEST_F(DotEnvFile, DevNullHidesIt) {
    fs::create_symlink("/dev/null", path());
    EXPECT_TRUE(read_dot_env(path())->empty());
}

TEST_F(DotEnvFile, AHugeOneIsRefused) {
    const std::string setting = "PORT=1\n";
    std::ofstream(path()) << setting << '#' << std::string((1 << 20) - setting.size() - 1, 'x');
    EXPECT_EQ(read_dot_env(path())->at("PORT"), "1") << "1 MiB is taken";
    std::ofstream(path(), std::ios::app) << 'x';
    EXPECT_EQ(error(), "the settings file .env is larger than 1 MiB");
    fs::resize_file(path(), std::uintmax_t{1} << 40);
    EXPECT_EQ(error(), "the settings file .env is larger than 1 MiB");
}

TEST_F(DotEnvFile, WhatIsWrongInItIsToldAsEver) {
    std::ofstream(path()) << "PORT=1\nnonsense\n";
    EXPECT_NE(error().find(".env line 2"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::cli
