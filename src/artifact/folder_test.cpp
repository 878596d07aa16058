#include "artifact/folder.h"

#include <gtest/gtest.h>
#include <sys/file.h>

#include <fstream>

#include "artifact/files.h"
#include "artifact/store.h"
#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;
using testing::at;
using testing::kNow;

class FolderTest : public ::testing::Test {
  protected:
    std::unique_ptr<ArtifactStore> open(const Fingerprint& fingerprint) {
        StoreOptions options;
        options.folder = folder_.path();
        options.reserve_bytes = 0;
        auto store = ArtifactStore::open(options, fingerprint);
        EXPECT_TRUE(store) << store.error().message;
        return std::move(*store);
    }
    /// One block of `size` bytes; its name.
    static ChainHash put(ArtifactStore& store, const Fingerprint& fingerprint, int seed, std::int64_t when,
                         std::size_t size = 1000) {
        const BlockInfo info = testing::single(fingerprint, seed);
        EXPECT_TRUE(store.put(info, testing::random_bytes(size, static_cast<std::uint64_t>(seed)), at(when)));
        return info.hash;
    }
    PruneReport prune(std::int64_t now, std::int64_t retention_s, std::uint64_t limit) {
        auto report = prune_folder(folder_.path(), {std::chrono::seconds(retention_s), limit}, at(now));
        EXPECT_TRUE(report);
        return *report;
    }
    bool exists(const ChainHash& hash, const Fingerprint& fingerprint) {
        return fs::exists(block_path(folder_.path() / fingerprint.id(), hash));
    }

    testing::TempFolder folder_;
    Fingerprint one_{testing::parts_of()};
    Fingerprint two_{testing::parts_of("llama")};
};

TEST_F(FolderTest, ListsWhatThereIs) {
    EXPECT_TRUE(list_folder(folder_.path() / "none").empty());
    const auto a = open(one_);
    const auto b = open(two_);
    put(*a, one_, 1, kNow);
    put(*a, one_, 2, kNow + 5);
    fs::create_directories(folder_.path() / "0123456789abcdef");  // no manifest
    fs::create_directories(folder_.path() / one_.id() / "00");
    std::ofstream(folder_.path() / one_.id() / "00" / "notes.txt") << "not ours";
    const auto list = list_folder(folder_.path());
    ASSERT_EQ(list.size(), 2U);
    const auto& entry = list[0].fingerprint == one_ ? list[0] : list[1];
    const auto& empty = list[0].fingerprint == one_ ? list[1] : list[0];
    EXPECT_EQ(entry.artifacts, 2U);
    EXPECT_GT(entry.bytes, 2000U);
    EXPECT_EQ(entry.last_use, at(kNow + 5));
    EXPECT_EQ(empty.fingerprint, two_);
    EXPECT_EQ(empty.artifacts, 0U);
}

TEST_F(FolderTest, EverythingIsItsOwnersAlone) {
    const auto store = open(one_);
    put(*store, one_, 1, kNow);
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
        EXPECT_EQ(entry.status().permissions() & fs::perms(077), fs::perms::none) << entry.path();
    }
}

TEST_F(FolderTest, RetentionCountsFromTheLastUse) {
    const auto store = open(one_);
    const auto old = put(*store, one_, 1, kNow);
    const auto used = put(*store, one_, 2, kNow);
    EXPECT_TRUE(store->get(used, at(kNow + 5000)));
    EXPECT_EQ(prune(kNow + 5000, 6000, 1 << 20).removed, 0U);
    const auto report = prune(kNow + 6001, 6000, 1 << 20);
    EXPECT_EQ(report.removed, 1U);
    EXPECT_EQ(report.kept, 1U);
    EXPECT_FALSE(exists(old, one_));
    EXPECT_TRUE(exists(used, one_));
}

TEST_F(FolderTest, TheLimitHoldsOverAllModelsAndSparesTheUseful) {
    const auto a = open(one_);
    const auto b = open(two_);
    const auto cold = put(*a, one_, 1, kNow, 10'000);
    const auto warm = put(*b, two_, 2, kNow, 10'000);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(b->get(warm, at(kNow + i)));
    const auto report = prune(kNow + 100, 1 << 20, 15'000);
    EXPECT_EQ(report.removed, 1U);
    EXPECT_LE(report.kept_bytes, 15'000U);
    EXPECT_FALSE(exists(cold, one_));
    EXPECT_TRUE(exists(warm, two_));
}

TEST_F(FolderTest, WhatWasJustUsedStays) {
    const auto store = open(one_);
    const auto fresh = put(*store, one_, 1, kNow - 59);
    const auto used = put(*store, one_, 2, kNow - 10'000);
    EXPECT_TRUE(store->get(used, at(kNow - 1)));
    EXPECT_EQ(prune(kNow, 0, 0).removed, 0U);
    EXPECT_TRUE(exists(fresh, one_));
    EXPECT_TRUE(exists(used, one_));
    EXPECT_EQ(prune(kNow + 61, 0, 0).removed, 2U);
}

TEST_F(FolderTest, ChainsGoFromTheirEnds) {
    const auto store = open(one_);
    const auto chain = testing::chain_of(one_, testing::tokens_of(1000, 1));
    for (const BlockInfo& info : chain) {
        EXPECT_TRUE(store->put(info, testing::random_bytes(10'000, 1), at(kNow)));
    }
    EXPECT_TRUE(store->get(chain[3].hash, at(kNow + 1)));
    prune(kNow + 100, 1 << 20, 25'000);
    EXPECT_TRUE(exists(chain[0].hash, one_));
    EXPECT_TRUE(exists(chain[1].hash, one_));
    EXPECT_FALSE(exists(chain[2].hash, one_));
    EXPECT_FALSE(exists(chain[3].hash, one_));
}

TEST_F(FolderTest, RemovesWhatDeadWritersLeftAndNothingOfTheLiving) {
    const auto store = open(one_);
    put(*store, one_, 1, kNow);
    const fs::path tmp = folder_.path() / one_.id() / "tmp";
    std::ofstream(tmp / "dead") << "half a block";
    std::ofstream(tmp / "young") << "half a block";
    record_usage(tmp / "dead", {at(kNow - 100), 0});
    record_usage(tmp / "young", {at(kNow - 10), 0});
    auto living = TempFile::create(tmp);
    ASSERT_TRUE(living);
    record_usage(living->file(), {at(kNow - 100), 0});
    EXPECT_EQ(prune(kNow, 1000, 1 << 20).leftovers, 1U);
    EXPECT_FALSE(fs::exists(tmp / "dead"));
    EXPECT_TRUE(fs::exists(tmp / "young"));
    EXPECT_TRUE(living->commit(tmp / "committed")) << "it was still there";
}

TEST_F(FolderTest, EmptyFoldersGoAndAWriterMakesThemAgain) {
    const auto store = open(one_);
    const auto hash = put(*store, one_, 1, kNow);
    record_usage(folder_.path() / one_.id() / "manifest.txt", {at(kNow), 0});
    EXPECT_EQ(prune(kNow + 100, 50, 1 << 20).removed, 1U);
    EXPECT_FALSE(fs::exists(folder_.path() / one_.id()));
    EXPECT_FALSE(store->get(hash, at(kNow + 100)));
    EXPECT_EQ(put(*store, one_, 1, kNow + 100), hash);
    EXPECT_TRUE(store->get(hash, at(kNow + 100)));
    EXPECT_EQ(list_folder(folder_.path()).size(), 1U);
}

TEST_F(FolderTest, OnePrunesAtATime) {
    const auto store = open(one_);
    put(*store, one_, 1, kNow);
    {
        const FolderLock other(folder_.path() / "prune.lock", FolderLock::Mode::kExclusive, 0);
        ASSERT_TRUE(other.held());
        EXPECT_TRUE(prune(kNow + 1000, 0, 0).busy);
    }
    EXPECT_EQ(prune(kNow + 1000, 0, 0).removed, 1U);
}

TEST_F(FolderTest, AStoppedPruningProcessStopsNobody) {
    const auto store = open(one_);
    const auto hash = put(*store, one_, 1, kNow);
    const FolderLock stuck(lock_path(folder_.path()), FolderLock::Mode::kExclusive, 0);
    ASSERT_TRUE(stuck.held());
    EXPECT_TRUE(store->get(hash, at(kNow)));
    put(*store, one_, 2, kNow);
    EXPECT_EQ(prune(kNow + 1000, 0, 0).removed, 0U) << "without the lock nothing is removed";
}

TEST_F(FolderTest, PruningCanBeCancelled) {
    const auto store = open(one_);
    for (int i = 0; i < 5; ++i) put(*store, one_, i, kNow);
    int asked = 0;
    const auto report =
        prune_folder(folder_.path(), {std::chrono::seconds(0), 0}, at(kNow + 1000), [&] { return ++asked == 3; });
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
    EXPECT_EQ(list_blocks(folder_.path() / one_.id()).size(), 3U);
}

TEST_F(FolderTest, DamagedBlocksGoBeforeGoodOnes) {
    const auto store = open(one_);
    const auto good = put(*store, one_, 1, kNow, 1000);
    const auto bad = put(*store, one_, 2, kNow + 10, 1000);
    std::ofstream(block_path(folder_.path() / one_.id(), bad), std::ios::in | std::ios::out) << "rubbish";
    record_usage(block_path(folder_.path() / one_.id(), bad), {at(kNow + 10), 50});
    EXPECT_EQ(prune(kNow + 100, 1 << 20, 2000).removed, 1U);
    EXPECT_TRUE(exists(good, one_));
    EXPECT_FALSE(exists(bad, one_));
}

TEST_F(FolderTest, NamesThatAreNotOursAreLeftAlone) {
    const auto store = open(one_);
    put(*store, one_, 1, kNow);
    std::ofstream(folder_.path() / "README") << "mine";
    fs::create_directories(folder_.path() / "photos");
    std::ofstream(folder_.path() / one_.id() / "00.kv") << "mine";
    fs::create_directories(folder_.path() / one_.id() / "ab");
    std::ofstream(folder_.path() / one_.id() / "ab" / "x.kv") << "mine";
    prune(kNow + 1000, 0, 0);
    EXPECT_TRUE(fs::exists(folder_.path() / "README"));
    EXPECT_TRUE(fs::exists(folder_.path() / "photos"));
    EXPECT_TRUE(fs::exists(folder_.path() / one_.id() / "00.kv"));
    EXPECT_TRUE(fs::exists(folder_.path() / one_.id() / "ab" / "x.kv"));
}

TEST(PruneFolder, AFolderThatCannotBeWorkedInIsAnError) {
    const testing::TempFolder folder;
    const fs::path file = folder.path() / "file";
    std::ofstream(file) << "x";
    const auto report = prune_folder(file, {}, at(kNow));
    ASSERT_FALSE(report) << "and not \"another process is removing\"";
    EXPECT_NE(report.error().message.find("cannot be written to"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::artifact
