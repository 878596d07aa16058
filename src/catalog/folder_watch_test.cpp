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
    watch_.begin();
    watch_.watch_folder(folder_.string(), FolderWatch::Matters::kModels);
    ASSERT_TRUE(watch_.hears_all());
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
    watch_.begin();
    watch_.watch_folder(folder_.string(), FolderWatch::Matters::kModels);
    watch_.watch_file((folder_ / "weights.bin").string());
    ASSERT_TRUE(watch_.hears_all());
    std::ofstream(folder_ / "log.txt") << "x";
    EXPECT_FALSE(news());
    std::ofstream(folder_ / "weights.bin") << "x";
    EXPECT_TRUE(news());
    watch_.begin();
    watch_.watch_folder(folder_.string(), FolderWatch::Matters::kEverything);
    std::ofstream(folder_ / "log.txt") << "y";
    EXPECT_TRUE(news());
}

TEST_F(FolderWatchTest, AFolderThatComesIsNews) {
    const auto listen = [&] {
        watch_.begin();
        watch_.watch_folder((folder_ / "models/deep").string(), FolderWatch::Matters::kModels);
        EXPECT_TRUE(watch_.hears_all());
    };
    listen();
    std::ofstream(folder_ / "log.txt") << "x";
    EXPECT_FALSE(news());
    fs::create_directory(folder_ / "models");
    EXPECT_TRUE(news());
    listen();
    fs::create_directory(folder_ / "models/deep");
    EXPECT_TRUE(news());
    listen();
    std::ofstream(folder_ / "models/deep/m.GGUF") << "x";
    EXPECT_TRUE(news());
}

TEST_F(FolderWatchTest, WhatCannotBeHeardIsSaid) {
    watch_.begin();
    watch_.watch_folder((folder_ / "there.gguf").string(), FolderWatch::Matters::kModels);
    EXPECT_FALSE(watch_.hears_all()) << "no folder";
}

}  // namespace
}  // namespace sutazai::catalog
