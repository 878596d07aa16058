#include "store/model_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/small_file.h"
#include "base/testing/temporary_folder.h"
#include "store/testing/small_models.h"

namespace sutazai::store {
namespace {

namespace fs = std::filesystem;
using testing::manifest_of;
using testing::named;
using testing::put;
using testing::sum;

class ModelStoreTest : public ::testing::Test {
  protected:
    void write(const ModelStore& store, const char* name, const std::vector<std::string>& blobs) {
        for (const std::string& blob : blobs) put(store, blob);
        const auto written = store.write_manifest(named(name), manifest_of(blobs));
        ASSERT_TRUE(written) << written.error().message;
    }
    std::size_t blobs(const ModelStore& store) {
        std::size_t n = 0;
        for ([[maybe_unused]] const auto& entry : fs::directory_iterator(store.blobs())) ++n;
        return n;
    }
    /// As if it had not been touched for so long.
    static void age(const fs::path& path, std::chrono::hours hours) {
        fs::last_write_time(path, fs::file_time_type::clock::now() - hours);
    }

    TemporaryFolder folder_;
    ModelStore store_{folder_.path() / "store"};
};

TEST_F(ModelStoreTest, IsMadeByTheFirstWriteForItsOwnerAlone) {
    EXPECT_FALSE(store_.read_manifest(named("a")));
    EXPECT_EQ(store_.remove(named("a")).error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(fs::exists(store_.root())) << "looking makes nothing";
    put(store_, "x");
    struct stat status {};
    ASSERT_EQ(stat(store_.root().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700);
}

TEST_F(ModelStoreTest, GivesBackToTheByteWhatItWasGiven) {
    const std::string odd = " " + manifest_of({"one", "two"}) + "\n";
    put(store_, "one");
    put(store_, "two");
    ASSERT_TRUE(store_.write_manifest(named("a/b:c"), odd));
    EXPECT_EQ(store_.read_manifest(named("a/b:c")).value(), odd);
    EXPECT_EQ(store_.read_manifest(named("A/B:C")).value(), odd) << "letters have no case";
    EXPECT_TRUE(fs::exists(store_.root() / "manifests/registry.ollama.ai/a/b/c"));
}

TEST_F(ModelStoreTest, OneNameInAnotherCaseIsReplaced) {
    write(store_, "Model:Tag", {"one"});
    write(store_, "model:tag", {"two"});
    EXPECT_EQ(store_.read_manifest(named("MODEL:TAG")).value(), manifest_of({"two"}));
    ASSERT_TRUE(store_.remove(named("mODEL:tAG")));
    EXPECT_FALSE(store_.read_manifest(named("Model:Tag")));
}

TEST_F(ModelStoreTest, AManifestNeedsItsBlobs) {
    put(store_, "one");
    const auto missing = store_.write_manifest(named("a"), manifest_of({"one", "two"}));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
    EXPECT_NE(missing.error().message.find(to_text(sum("two"))), std::string::npos);
    std::ofstream(store_.blob_path(sum("two"))) << "tw";
    EXPECT_FALSE(store_.write_manifest(named("a"), manifest_of({"one", "two"}))) << "not whole";
    EXPECT_FALSE(store_.read_manifest(named("a")));
    EXPECT_EQ(store_.write_manifest(named("a"), "{}").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ModelStoreTest, AWriterLeavesNothingUnlessItIsCommitted) {
    {
        auto writer = store_.new_blob();
        ASSERT_TRUE(writer);
        ASSERT_TRUE(writer->add(std::string_view("half")));
    }
    EXPECT_EQ(blobs(store_), 0U);
    {
        auto writer = store_.new_blob();
        ASSERT_TRUE(writer && writer->add(std::string_view("content")));
        const auto wrong = writer->commit(sum("other"));
        ASSERT_FALSE(wrong);
        EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
    }
    EXPECT_EQ(blobs(store_), 0U);
    auto writer = store_.new_blob();
    ASSERT_TRUE(writer && writer->add(std::string_view("con")) && writer->add(std::string_view("tent")));
    const auto stored = writer->commit(sum("content"));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->bytes, 7U);
    EXPECT_TRUE(store_.has_blob(sum("content"), 7));
    EXPECT_FALSE(store_.has_blob(sum("content"), 8));
    EXPECT_EQ(blobs(store_), 1U);
}

TEST_F(ModelStoreTest, ABlobThatIsThereStaysTheSameFile) {
    put(store_, "content");
    struct stat before {
    }, after{};
    ASSERT_EQ(stat(store_.blob_path(sum("content")).c_str(), &before), 0);
    put(store_, "content");
    ASSERT_EQ(stat(store_.blob_path(sum("content")).c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    // One that is not whole is replaced.
    std::ofstream(store_.blob_path(sum("content"))) << "co";
    put(store_, "content");
    EXPECT_TRUE(store_.has_blob(sum("content"), 7));
}

TEST_F(ModelStoreTest, RemovesWhatNoOtherModelNames) {
    write(store_, "a", {"shared", "only a"});
    write(store_, "x/b:1", {"shared", "only b"});
    put(store_, "of nobody yet");
    ASSERT_TRUE(store_.remove(named("x/b:1")));
    EXPECT_FALSE(store_.has_blob(sum("only b")));
    EXPECT_TRUE(store_.has_blob(sum("shared")));
    EXPECT_TRUE(store_.has_blob(sum("of nobody yet"))) << "it may be for a model that is being made";
    EXPECT_FALSE(fs::exists(store_.root() / "manifests/registry.ollama.ai/x")) << "empty folders go";
    EXPECT_TRUE(store_.read_manifest(named("a")));
    EXPECT_EQ(store_.remove(named("x/b:1")).error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(store_.remove(named("a")));
    EXPECT_FALSE(store_.has_blob(sum("shared")));
    EXPECT_TRUE(fs::exists(store_.root() / "manifests"));
}

TEST_F(ModelStoreTest, ReplacingAModelRemovesWhatOnlyItNamed) {
    write(store_, "a", {"old", "kept"});
    write(store_, "a", {"new", "kept"});
    EXPECT_FALSE(store_.has_blob(sum("old")));
    EXPECT_TRUE(store_.has_blob(sum("kept")));
    EXPECT_TRUE(store_.has_blob(sum("new")));
}

TEST_F(ModelStoreTest, NothingIsRemovedWhileAManifestCannotBeRead) {
    write(store_, "a", {"one"});
    write(store_, "b", {"two"});
    std::ofstream(store_.root() / "manifests/registry.ollama.ai/library/b/latest") << "{ cut o";
    ASSERT_TRUE(store_.remove(named("a")));
    EXPECT_TRUE(store_.has_blob(sum("one"))) << "the other may name it";
    ASSERT_TRUE(store_.remove(named("b"))) << "a damaged one can be removed";
    std::ofstream(store_.root() / "manifests/README.txt") << "no manifest";
    std::ofstream(store_.root() / "manifests/registry.ollama.ai/library/c") << "none either";
    write(store_, "d", {"four"});
    ASSERT_TRUE(store_.remove(named("d")));
    EXPECT_FALSE(store_.has_blob(sum("four"))) << "where no manifest can be, there is none";
}

TEST_F(ModelStoreTest, AHeldBlobIsNotRemoved) {
    write(store_, "a", {"one"});
    {
        const auto hold = store_.hold(sum("one"));
        ASSERT_TRUE(hold);
        EXPECT_EQ(hold->bytes(), 3U);
        ASSERT_TRUE(store_.remove(named("a")));
        EXPECT_TRUE(store_.has_blob(sum("one")));
        ASSERT_TRUE(store_.write_manifest(named("b"), manifest_of({"one"}))) << "which is what holds are for";
    }
    ASSERT_TRUE(store_.remove(named("b")));
    EXPECT_FALSE(store_.has_blob(sum("one")));
    EXPECT_FALSE(store_.hold(sum("one")));
}

TEST_F(ModelStoreTest, CopiesOnlyTheManifest) {
    write(store_, "a", {"one"});
    ASSERT_TRUE(store_.copy(named("a"), named("host:5000/b/c:d")));
    EXPECT_EQ(store_.read_manifest(named("host:5000/b/c:d")).value(), store_.read_manifest(named("a")).value());
    EXPECT_EQ(blobs(store_), 1U);
    ASSERT_TRUE(store_.remove(named("a")));
    EXPECT_TRUE(store_.has_blob(sum("one")));
    EXPECT_EQ(store_.copy(named("a"), named("e")).error().code, ErrorCode::kNotFound);
}

TEST_F(ModelStoreTest, AdoptsByLinkOrCopy) {
    const ModelStore other(folder_.path() / "other");
    put(other, "weights");
    std::uint64_t told = 0;
    const Advance tell = [&](std::uint64_t more) {
        told += more;
        return true;
    };
    auto adopted = store_.adopt_blob(sum("weights"), other.blob_path(sum("weights")), tell);
    ASSERT_TRUE(adopted) << adopted.error().message;
    EXPECT_EQ(told, 7U);
    struct stat one {
    }, two{};
    ASSERT_EQ(stat(store_.blob_path(sum("weights")).c_str(), &one), 0);
    ASSERT_EQ(stat(other.blob_path(sum("weights")).c_str(), &two), 0);
    EXPECT_EQ(one.st_ino, two.st_ino);
    ASSERT_TRUE(store_.adopt_blob(sum("weights"), other.blob_path(sum("weights")))) << "again";
    EXPECT_EQ(blobs(store_), 1U) << "no second name is left over";

    if (const fs::path shm = "/dev/shm"; fs::is_directory(shm)) {  // another file system, where nothing can be linked
        const fs::path far = shm / ("sutazai-store-" + std::to_string(getpid()));
        std::ofstream(far) << "far away";
        const auto copied = store_.adopt_blob(sum("far away"), far);
        EXPECT_TRUE(copied) << copied.error().message;
        const auto wrong = store_.adopt_blob(sum("nearer"), far);
        EXPECT_EQ(wrong.error().code, ErrorCode::kLoadFailed) << "a copy is verified";
        fs::remove(far);
        EXPECT_EQ(blobs(store_), 2U);
    }
    EXPECT_FALSE(store_.adopt_blob(sum("x"), folder_.path() / "nothing"));
    const auto cancelled =
        store_.adopt_blob(sum("weights"), other.blob_path(sum("weights")), [](auto) { return false; });
    EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
}

TEST_F(ModelStoreTest, TakesAFinishedDownload) {
    ASSERT_TRUE(store_.prepare());
    const fs::path partial = store_.blob_path(sum("whole")).string() + "-partial";
    std::ofstream(partial) << "whole";
    ASSERT_TRUE(store_.take_partial(partial, sum("whole")));
    EXPECT_TRUE(store_.has_blob(sum("whole"), 5));
    EXPECT_FALSE(fs::exists(partial));
    EXPECT_EQ(fs::status(store_.blob_path(sum("whole"))).permissions(), fs::perms(0644)) << "as the others are";
    EXPECT_EQ(store_.take_partial(partial, sum("whole")).error().code, ErrorCode::kNotFound);
}

TEST_F(ModelStoreTest, ClearsAwayWhatDeadWritersLeft) {
    ASSERT_TRUE(store_.prepare());
    using std::chrono::hours;
    const fs::path dead = store_.blobs() / "tmp-1.2.3", fresh = store_.blobs() / "tmp-4.5.6";
    const fs::path old_part = store_.blob_path(sum("a")).string() + "-partial";
    const fs::path old_state = old_part.string() + "-state";
    const fs::path young_part = store_.blob_path(sum("b")).string() + "-partial";
    const fs::path locked_part = store_.blob_path(sum("c")).string() + "-partial";
    const fs::path strange = store_.blobs() / "notes.txt";
    for (const fs::path& path : {dead, fresh, old_part, old_state, young_part, locked_part, strange}) {
        std::ofstream(path) << "x";
        if (path != fresh) age(path, path == young_part ? hours(24) : hours(24 * 8));
    }
    const FolderLock lock(locked_part, FolderLock::Mode::kExclusive, 0);
    ASSERT_TRUE(lock.held());
    auto living = store_.new_blob();
    ASSERT_TRUE(living);
    EXPECT_FALSE(fs::exists(dead));
    EXPECT_FALSE(fs::exists(old_part));
    EXPECT_FALSE(fs::exists(old_state));
    for (const fs::path& path : {fresh, young_part, locked_part, strange}) EXPECT_TRUE(fs::exists(path)) << path;
    for (const auto& entry : fs::directory_iterator(store_.blobs())) age(entry.path(), hours(1));
    ASSERT_TRUE(store_.new_blob());
    EXPECT_EQ(blobs(store_), 4U) << "the writer that lives keeps its file; the fresh one has become a dead one's";
}

TEST_F(ModelStoreTest, SaysWhereItCannotWrite) {
    std::ofstream(folder_.path() / "store") << "a file";
    const auto writer = store_.new_blob();
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(writer.error().message.find(store_.root().string()), std::string::npos) << writer.error().message;
}

TEST_F(ModelStoreTest, WritersAndRemoversOfManyThreadsAgree) {
    // Models share blobs, and come and go: whoever's manifest was taken has its blobs as long as it is there.
    constexpr int kRounds = 60;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            const std::string name = "m" + std::to_string(t);
            for (int i = 0; i < kRounds; ++i) {
                const std::vector<std::string> blobs = {"shared", "own " + name, "round " + std::to_string(i % 3)};
                std::vector<StoredBlob> holds;
                for (const std::string& blob : blobs) holds.push_back(put(store_, blob));
                const auto written = store_.write_manifest(named(name), manifest_of(blobs));
                ASSERT_TRUE(written) << written.error().message;
                holds.clear();
                for (const std::string& blob : blobs) EXPECT_TRUE(store_.has_blob(sum(blob), blob.size())) << blob;
                if (i % 2 == 0) {
                    const auto removed = store_.remove(named(name));
                    EXPECT_TRUE(removed) << removed.error().message;
                }
            }
        });
    }
    threads.clear();
    for (int t = 0; t < 4; ++t) EXPECT_TRUE(store_.remove(named("m" + std::to_string(t))));
    EXPECT_FALSE(store_.has_blob(sum("shared")));
}

}  // namespace
}  // namespace sutazai::store
