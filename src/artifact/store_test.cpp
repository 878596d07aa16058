#include "artifact/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;
using testing::at;
using testing::kNow;
using testing::random_bytes;
using testing::single;

class StoreTest : public ::testing::Test {
  protected:
    StoreOptions options() const {
        StoreOptions options;
        options.folder = folder_.path() / "artifacts";
        options.reserve_bytes = 0;
        return options;
    }
    std::unique_ptr<ArtifactStore> open() const { return open(options()); }
    std::unique_ptr<ArtifactStore> open(const StoreOptions& options) const {
        auto store = ArtifactStore::open(options, fingerprint_);
        EXPECT_TRUE(store) << store.error().message;
        return std::move(*store);
    }
    fs::path path_of(const ChainHash& hash) const { return block_path(own(), hash); }
    fs::path own() const { return folder_.path() / "artifacts" / fingerprint_.id(); }
    static std::size_t files_in(const fs::path& folder) {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
    }
    static void flip(const fs::path& path, std::streamoff offset) {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(offset);
        const auto byte = static_cast<char>(file.get() ^ 0x10);
        file.seekp(offset);
        file.put(byte);
    }

    testing::TempFolder folder_;
    Fingerprint fingerprint_{testing::parts_of()};
    BlockInfo info_ = single(fingerprint_, 1);
    std::vector<std::byte> payload_ = random_bytes(50'000, 1);
};

TEST_F(StoreTest, WhatIsPutIsThere) {
    const auto store = open();
    EXPECT_FALSE(store->contains(info_.hash));
    EXPECT_EQ(store->get(info_.hash, at(kNow)).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store->put(info_, payload_, at(kNow)), ArtifactStore::Put::kWritten);
    EXPECT_TRUE(store->contains(info_.hash));
    const auto block = store->get(info_.hash, at(kNow + 1));
    ASSERT_TRUE(block) << block.error().message;
    EXPECT_TRUE(std::ranges::equal(block->payload, payload_));
    EXPECT_EQ(block->info.tokens, info_.tokens);
    EXPECT_EQ(store->put(info_, payload_, at(kNow + 2)), ArtifactStore::Put::kAlreadyThere);
    const auto stats = store->stats();
    EXPECT_EQ(stats.puts, 1U);
    EXPECT_EQ(stats.hits, 1U);
    EXPECT_EQ(stats.misses, 1U);
    EXPECT_EQ(stats.artifacts, 1U);
    EXPECT_EQ(stats.bytes, fs::file_size(path_of(info_.hash)));
    EXPECT_EQ(files_in(own() / "tmp"), 0U);
}

TEST_F(StoreTest, OutlivesItsProcessWithUsesAndTimes) {
    {
        const auto store = open();
        EXPECT_TRUE(store->put(info_, payload_, at(kNow)));
        EXPECT_TRUE(store->get(info_.hash, at(kNow + 10)));
        for (int i = 0; i < 3; ++i) store->touch(info_.hash, at(kNow + 20 + i));
    }
    const auto store = open();
    EXPECT_TRUE(store->contains(info_.hash));
    EXPECT_TRUE(store->entries(at(kNow + 30)).empty()) << "opening reads no block";
    store->refresh();
    const auto entries = store->entries(at(kNow + 30));
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].uses, 5U) << "put, get, three touches";
    EXPECT_EQ(entries[0].last_use, at(kNow + 22));
    EXPECT_EQ(entries[0].parent, info_.parent);
    EXPECT_EQ(entries[0].n_tokens, 8);
    EXPECT_EQ(entries[0].compute_us, info_.compute_us);
    EXPECT_TRUE(store->get(info_.hash, at(kNow + 30)));
}

TEST_F(StoreTest, TheClockMayGoBack) {
    const auto store = open();
    EXPECT_TRUE(store->put(info_, payload_, at(kNow)));
    EXPECT_TRUE(store->get(info_.hash, at(kNow - 5000)));
    store->refresh();
    EXPECT_EQ(store->entries(at(kNow))[0].last_use, at(kNow));
}

TEST_F(StoreTest, TwoStoresSeeEachOther) {
    const auto a = open();
    const auto b = open();
    EXPECT_TRUE(a->put(info_, payload_, at(kNow)));
    EXPECT_TRUE(b->contains(info_.hash)) << "a miss of the index looks at the disk";
    EXPECT_TRUE(b->get(info_.hash, at(kNow)));
    EXPECT_EQ(b->put(info_, payload_, at(kNow)), ArtifactStore::Put::kAlreadyThere);
    const BlockInfo more = single(fingerprint_, 2);
    EXPECT_TRUE(b->put(more, payload_, at(kNow)));
    a->refresh();
    EXPECT_EQ(a->stats().artifacts, 2U);

    fs::remove(path_of(more.hash));  // pruned by a third
    EXPECT_TRUE(a->contains(more.hash)) << "the index does not know yet";
    EXPECT_EQ(a->get(more.hash, at(kNow)).error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(a->contains(more.hash));
    EXPECT_EQ(a->put(more, payload_, at(kNow)), ArtifactStore::Put::kWritten);
    fs::remove(path_of(info_.hash));
    a->refresh();
    EXPECT_EQ(a->stats().artifacts, 1U);
}

TEST_F(StoreTest, RefreshTakesInManyChanges) {
    const auto a = open();
    const auto b = open();
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 5; ++i) {
            EXPECT_TRUE(b->put(single(fingerprint_, round * 5 + i), random_bytes(10, 1), at(kNow + round)));
        }
        a->refresh();
        EXPECT_EQ(a->stats().artifacts, static_cast<std::size_t>(round + 1) * 5);
    }
}

TEST_F(StoreTest, DamageIsNoticedWhereverItIs) {
    auto wanted = options();
    wanted.compression = Compression::kNever;
    const auto store = open(wanted);
    int round = 0;
    for (const std::streamoff offset : {0, 9, 20, 100, 140, 180, 300, 25'000, 50'000}) {
        EXPECT_EQ(store->put(info_, payload_, at(kNow)), ArtifactStore::Put::kWritten);
        flip(path_of(info_.hash), offset);
        const auto block = store->get(info_.hash, at(kNow));
        ASSERT_FALSE(block) << offset;
        EXPECT_EQ(block.error().code, ErrorCode::kLoadFailed);
        EXPECT_FALSE(store->contains(info_.hash)) << "dropped";
        EXPECT_EQ(store->stats().damaged, static_cast<std::size_t>(++round));
        fs::remove(own() / "quarantine" / path_of(info_.hash).filename());
    }
}

TEST_F(StoreTest, TheQuarantineIsSmall) {
    const auto store = open();
    for (int i = 0; i < 20; ++i) {
        const BlockInfo info = single(fingerprint_, i);
        EXPECT_TRUE(store->put(info, payload_, at(kNow)));
        if (i % 2 == 0) {
            std::ofstream(path_of(info.hash)) << "rubbish";
            EXPECT_FALSE(store->get(info.hash, at(kNow)));
        } else {
            store->reject(info.hash);
        }
        EXPECT_FALSE(fs::exists(path_of(info.hash)));
    }
    EXPECT_EQ(files_in(own() / "quarantine"), 8U);
    EXPECT_EQ(store->stats().damaged, 10U);
    EXPECT_EQ(store->stats().rejected, 10U);
}

TEST_F(StoreTest, AWholeFileUnderAnothersNameIsRefused) {
    const auto store = open();
    const BlockInfo other = single(fingerprint_, 2);
    EXPECT_TRUE(store->put(info_, payload_, at(kNow)));
    EXPECT_TRUE(store->put(other, payload_, at(kNow)));
    fs::rename(path_of(other.hash), path_of(info_.hash));
    EXPECT_EQ(store->get(info_.hash, at(kNow)).error().code, ErrorCode::kLoadFailed);
}

TEST_F(StoreTest, AnotherModelsBlockIsRefused) {
    const auto store = open();
    const Fingerprint other(testing::parts_of("llama"));
    EXPECT_EQ(store->put(single(other, 1), payload_, at(kNow)).error().code, ErrorCode::kInvalidArgument);
    const auto encoded = encode_block(single(other, 1), payload_, Compression::kNever);
    const ChainHash hash = single(other, 1).hash;
    fs::create_directories(path_of(hash).parent_path());
    const auto bytes = testing::file_of(*encoded);
    std::ofstream(path_of(hash), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    EXPECT_EQ(store->get(hash, at(kNow)).error().code, ErrorCode::kLoadFailed);
    EXPECT_NE(other.id(), fingerprint_.id());
}

TEST_F(StoreTest, SomethingElseUnderABlocksNameIsRefused) {
    const auto store = open();
    fs::create_directories(path_of(info_.hash));
    EXPECT_FALSE(store->get(info_.hash, at(kNow)));
    const BlockInfo other = single(fingerprint_, 2);
    fs::create_directories(path_of(other.hash).parent_path());
    fs::create_symlink("/etc/passwd", path_of(other.hash));
    EXPECT_FALSE(store->get(other.hash, at(kNow)));
}

TEST_F(StoreTest, APayloadOverTheModelsLimitIsNeitherWrittenNorRead) {
    {
        const auto store = open();
        EXPECT_TRUE(store->put(info_, payload_, at(kNow)));
    }
    auto small = options();
    small.most_payload_bytes = payload_.size() - 1;
    const auto store = open(small);
    EXPECT_EQ(store->put(single(fingerprint_, 2), payload_, at(kNow)).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(store->get(info_.hash, at(kNow)).error().code, ErrorCode::kLoadFailed);
}

TEST_F(StoreTest, ADamagedManifestIsWrittenAgainAndAForeignOneIsNot) {
    open();
    std::ofstream(own() / "manifest.txt") << "cut o";
    open();
    std::string text;
    std::getline(std::ifstream(own() / "manifest.txt"), text, '\0');
    EXPECT_EQ(text, fingerprint_.text());
}

TEST_F(StoreTest, AFolderThatCannotBeIsAnError) {
    std::ofstream(folder_.path() / "file") << "x";
    StoreOptions wanted;
    wanted.folder = folder_.path() / "file";
    const auto store = ArtifactStore::open(wanted, fingerprint_);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, ErrorCode::kUnavailable);
}

TEST_F(StoreTest, AFullDiskMakesItWait) {
    auto wanted = options();
    wanted.reserve_bytes = ~0ULL >> 2U;  // more than any disk has
    const auto store = open(wanted);
    std::int64_t now = kNow;
    for (const int wait : {5, 10, 20, 40, 80, 160, 320, 600, 600}) {
        auto put = store->put(info_, payload_, at(now));
        ASSERT_FALSE(put);
        EXPECT_EQ(put.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(put.error().retry_after_s, wait);
        const auto failures = store->stats().put_failures;
        put = store->put(info_, payload_, at(now + wait - 1));
        EXPECT_FALSE(put);
        EXPECT_EQ(put.error().retry_after_s, 1);
        EXPECT_EQ(store->stats().put_failures, failures) << "not tried again";
        now += wait;
    }
    EXPECT_FALSE(store->get(info_.hash, at(now)));
}

TEST_F(StoreTest, KnowsWhenToPrune) {
    auto wanted = options();
    wanted.byte_limit = 120'000;
    const auto store = open(wanted);
    EXPECT_FALSE(store->wants_prune());
    EXPECT_TRUE(store->put(info_, payload_, at(kNow)));
    EXPECT_TRUE(store->wants_prune()) << "nobody has counted yet";
    EXPECT_TRUE(store->prune(std::chrono::hours(24), at(kNow)));
    EXPECT_FALSE(store->wants_prune());
    EXPECT_TRUE(store->put(single(fingerprint_, 2), payload_, at(kNow + 1)));
    EXPECT_FALSE(store->wants_prune());
    EXPECT_TRUE(store->put(single(fingerprint_, 3), payload_, at(kNow + 2)));
    EXPECT_TRUE(store->wants_prune());
    const auto report = store->prune(std::chrono::hours(24), at(kNow + 200));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->removed, 1U);
    EXPECT_FALSE(store->wants_prune());
    EXPECT_EQ(store->stats().artifacts, 2U);
}

TEST_F(StoreTest, TheMostValuableComeFirst) {
    const auto store = open();
    const auto chain = testing::chain_of(fingerprint_, testing::tokens_of(600, 1));
    for (const BlockInfo& info : chain) EXPECT_TRUE(store->put(info, random_bytes(5000, 1), at(kNow)));
    const BlockInfo hot = single(fingerprint_, 9);
    EXPECT_TRUE(store->put(hot, random_bytes(100, 1), at(kNow)));
    for (int i = 0; i < 9; ++i) store->touch(hot.hash, at(kNow));
    store->flush_touches();
    const auto entries = store->entries(at(kNow));
    ASSERT_EQ(entries.size(), 4U);
    EXPECT_EQ(entries[0].hash, hot.hash);
    EXPECT_EQ(entries[1].hash, chain[0].hash);
    EXPECT_EQ(entries[2].hash, chain[1].hash);
}

}  // namespace
}  // namespace sutazai::artifact
