#include "store/quantise.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/testing/temporary_folder.h"
#include "catalog/testing/small_gguf.h"
#include "store/testing/small_models.h"

/// The worker is a shell script here, which is called with --input IN --output OUT --type TYPE.
namespace sutazai::store {
namespace {

namespace fs = std::filesystem;

class QuantiseTest : public ::testing::Test {
  protected:
    QuantiseTest() { std::ofstream(input_, std::ios::binary) << catalog::small_gguf(); }

    Result<StoredBlob> quantise(const std::string& script) {
        const fs::path path = folder_.path() / "worker.sh";
        std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
        fs::permissions(path, fs::perms::owner_all);
        const Quantiser quantiser = quantiser_process(std::vector<std::string>{path.string()});
        return quantiser(store_, input_, "Q4_0",
                         {stop_.get_token(), [this](WorkProgress progress) { told_.push_back(std::move(progress)); }});
    }
    std::size_t blobs() {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(store_.blobs()), fs::directory_iterator()));
    }

    TemporaryFolder folder_;
    fs::path input_ = folder_.path() / "in.gguf";
    ModelStore store_{folder_.path() / "store"};
    std::stop_source stop_;
    std::vector<WorkProgress> told_;
};

TEST_F(QuantiseTest, WhatTheWorkerWritesIsABlob) {
    const auto made = quantise("test \"$6\" = Q4_0 && echo size 1000 >&3 && sleep 0.3 && cat \"$2\" > \"$4\"");
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->digest, testing::sum(catalog::small_gguf()));
    EXPECT_TRUE(store_.has_blob(made->digest, catalog::small_gguf().size()));
    EXPECT_EQ(blobs(), 1U);
    EXPECT_EQ(told_.front().total, 1000U);
    EXPECT_EQ(told_.back().completed, told_.back().total);
    EXPECT_EQ(told_.front().status, "quantizing  model to Q4_0") << "of weights that do not say what they are";
}

TEST_F(QuantiseTest, ItsLastWordsAreTheError) {
    const auto failed = quantise("echo partly > \"$4\"; echo error the disk is full >&3; exit 1");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().message, "the disk is full");
    EXPECT_EQ(blobs(), 0U);
}

TEST_F(QuantiseTest, AFullDiskIsSaid) {
    const fs::path small = folder_.path() / "small";
    fs::create_directory(small);
    if (mount("none", small.c_str(), "tmpfs", 0, "size=2m") != 0) GTEST_SKIP() << "no file system can be mounted";
    store_ = ModelStore(small / "store");
    const auto full =
        quantise("dd if=/dev/zero of=\"$4\" bs=64k count=100 2>/dev/null || echo error iostream error >&3; exit 1");
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(full.error().message.find("No space left"), std::string::npos) << full.error().message;
    EXPECT_EQ(blobs(), 0U);
    umount(small.c_str());
}

TEST_F(QuantiseTest, ItsDeathIsAnErrorOfItsOwn) {
    const auto died = quantise("kill -ABRT $$");
    ASSERT_FALSE(died);
    EXPECT_EQ(died.error().code, ErrorCode::kEngineDied);
    EXPECT_NE(died.error().message.find("signal 6"), std::string::npos) << died.error().message;
    EXPECT_EQ(blobs(), 0U);
    const auto nonsense = quantise("echo no model > \"$4\"");
    ASSERT_FALSE(nonsense);
    EXPECT_EQ(nonsense.error().code, ErrorCode::kLoadFailed) << "it ended well, but made no model";
    EXPECT_EQ(blobs(), 0U);
}

TEST_F(QuantiseTest, IsStoppedByItsEnd) {
    const fs::path pid = folder_.path() / "pid";
    std::jthread stopper([&] {
        while (!fs::exists(pid) || fs::is_empty(pid)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        stop_.request_stop();
    });
    const auto stopped = quantise("echo $$ > " + pid.string() + "; sleep 1000");
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
    int number = 0;
    std::ifstream(pid) >> number;
    ASSERT_GT(number, 0);
    EXPECT_FALSE(fs::exists("/proc/" + std::to_string(number))) << "it runs on";
    EXPECT_EQ(blobs(), 0U);
}

}  // namespace
}  // namespace sutazai::store
