#include "catalog/folder_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temporary_folder.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

class FolderWatchTest : public testing::Test {
  protected:
    FolderWatchTest() { std::ofstream(folder_ / "there.gguf") << "x"; }

    bool news() {
        const bool any = watch_.has_news();
        watch_.clear();
        return any;
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
    FolderWatch watch_;
};

TEST_F(FolderWatchTest, TellsOfEveryKindOfChange) {
    ASSERT_TRUE(watch_.watch({folder_.string()}));
    EXPECT_FALSE(news());
    std::ofstream(folder_ / "new.gguf") << "x";
    EXPECT_TRUE(news()) << "a new file";
    EXPECT_FALSE(news()) << "told once";
    std::ofstream(folder_ / "there.gguf", std::ios::in | std::ios::out) << "y";
    EXPECT_TRUE(news()) << "written in place";
    fs::rename(folder_ / "new.gguf", folder_ / "there.gguf");
    EXPECT_TRUE(news()) << "renamed over";
    fs::remove(folder_ / "there.gguf");
    EXPECT_TRUE(news()) << "removed";
    fs::remove_all(folder_);
    EXPECT_TRUE(news()) << "the folder itself";
}

TEST_F(FolderWatchTest, OtherFilesAreNoNews) {
    ASSERT_TRUE(watch_.watch({folder_.string()}, {"weights.bin"}));
    std::ofstream(folder_ / "log.txt") << "x";
    EXPECT_FALSE(news());
    std::ofstream(folder_ / "weights.bin") << "x";
    EXPECT_TRUE(news());
}

TEST_F(FolderWatchTest, AFolderThatIsNotThereIsSaid) {
    EXPECT_FALSE(watch_.watch({(folder_ / "later").string()}));
    fs::create_directory(folder_ / "later");
    EXPECT_TRUE(watch_.watch({(folder_ / "later").string()}));
    std::ofstream(folder_ / "later/m.GGUF") << "x";
    EXPECT_TRUE(news());
}

}  // namespace
}  // namespace sutazai::catalog
