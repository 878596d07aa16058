#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/small_file.h"
#include "base/testing/temporary_folder.h"
#include "store/testing/small_models.h"

/// What real disks and real kills do. The writers are processes of their own.
namespace sutazai::store {
namespace {

namespace fs = std::filesystem;
using testing::manifest_of;
using testing::named;
using testing::put;
using testing::sum;

pid_t in_child(const std::function<int()>& work) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGXFSZ, SIG_IGN);
    _exit(work());
}
int wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

std::string blob_of(int model, int part) {
    return std::string(static_cast<std::size_t>(1000 + (model * 7 + part) % 5 * 40'000),
                       static_cast<char>('a' + part)) +
           std::to_string(part == 0 ? 0 : model);
}
std::vector<std::string> blobs_of(int model) {
    return {blob_of(model, 0), blob_of(model, 1), blob_of(model, 2)};  // the first is shared by all of its size
}

/// Every model that is there is whole; how many there are.
int check_all(const ModelStore& store, int n_models) {
    int n = 0;
    for (int model = 0; model < n_models; ++model) {
        const auto text = store.read_manifest(named("m" + std::to_string(model)));
        if (!text) continue;
        ++n;
        const auto manifest = parse_manifest(*text);
        EXPECT_TRUE(manifest) << "a manifest that was cut off";
        if (!manifest) continue;
        for (const Layer& layer : manifest->layers) {
            const auto content = read_small_file(store.blob_path(layer.digest).string(), 1 << 24);
            EXPECT_TRUE(content && sum(*content) == layer.digest) << "model " << model << " is not whole";
        }
    }
    for (const auto& entry : fs::directory_iterator(store.blobs())) {
        const auto digest = parse_digest(entry.path().filename().native());
        if (!digest) continue;
        const auto content = read_small_file(entry.path().string(), 1 << 24);
        EXPECT_TRUE(content && sum(*content) == *digest) << "a blob that is not what its name says";
    }
    return n;
}

TEST(ModelStoreCrash, KilledWritersAndRemoversLeaveWholeModels) {
    const TemporaryFolder folder;
    const ModelStore store(folder.path() / "store");
    ASSERT_TRUE(store.prepare());
    std::mt19937 random(20261126);
    constexpr int kModels = 6;
    int done = 0;
    for (int round = 0; round < 80; ++round) {
        // Two at once: one makes models, the other removes them.
        const unsigned seed = random();
        const pid_t maker = in_child([&] {
            std::mt19937 own(seed);
            for (;;) {
                const int model = static_cast<int>(own() % kModels);
                std::vector<StoredBlob> holds;
                for (const std::string& blob : blobs_of(model)) holds.push_back(put(store, blob));
                if (!store.write_manifest(named("m" + std::to_string(model)), manifest_of(blobs_of(model)))) return 1;
            }
        });
        const pid_t remover = in_child([&] {
            std::mt19937 own(seed + 1);
            for (;;) {
                const auto removed = store.remove(named("m" + std::to_string(own() % kModels)));
                if (!removed && removed.error().code != ErrorCode::kNotFound) return 1;
            }
        });
        std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 30'000));
        kill(random() % 2 == 0 ? maker : remover, SIGKILL);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 3'000));
        kill(maker, SIGKILL);
        kill(remover, SIGKILL);
        for (const pid_t pid : {maker, remover}) {
            ASSERT_TRUE(WIFSIGNALED(wait_for(pid))) << "round " << round << ": it ended by itself";
        }
        done += check_all(store, kModels);
    }
    EXPECT_GT(done, 0) << "nothing was ever written";
    // What the dead left in the making goes once it is old enough.
    for (const auto& entry : fs::directory_iterator(store.blobs())) {
        fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
    }
    put(store, "one more");
    for (const auto& entry : fs::directory_iterator(store.blobs())) {
        EXPECT_TRUE(parse_digest(entry.path().filename().native())) << entry.path() << " is left over";
    }
}

TEST(ModelStoreCrash, AFullDiskIsSaidAndLeavesNothing) {
    const TemporaryFolder folder;
    const ModelStore store(folder.path() / "store");
    put(store, "small");
    // A limit on files stands for the disk: the write fails in the middle in the same way.
    const pid_t pid = in_child([&] {
        const rlimit limit{100'000, 100'000};
        setrlimit(RLIMIT_FSIZE, &limit);
        auto writer = store.new_blob();
        if (!writer) return 1;
        const std::string piece(60'000, 'x');
        if (!writer->add(piece)) return 2;
        const auto failed = writer->add(piece);
        if (failed || failed.error().code != ErrorCode::kUnavailable) return 3;
        if (failed.error().message.find(store.root().string()) == std::string::npos) return 4;
        return 0;
    });
    const int status = wait_for(pid);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(std::distance(fs::directory_iterator(store.blobs()), fs::directory_iterator()), 1);
}

TEST(ModelStoreCrash, AFullFileSystemIsSaidAndLeavesNothing) {
    const TemporaryFolder folder;
    if (mount("none", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0)
        GTEST_SKIP() << "no file system can be mounted";
    {
        const ModelStore store(folder.path() / "store");
        put(store, "small");
        auto writer = store.new_blob();
        ASSERT_TRUE(writer);
        const std::string piece(256 << 10, 'x');
        Result<void> written;
        for (int i = 0; i < 8 && written; ++i) written = writer->add(piece);
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().code, ErrorCode::kUnavailable);
        EXPECT_NE(written.error().message.find("No space left"), std::string::npos) << written.error().message;
        writer = std::unexpected(Error{});
        EXPECT_EQ(std::distance(fs::directory_iterator(store.blobs()), fs::directory_iterator()), 1);
        EXPECT_TRUE(store.has_blob(sum("small"), 5));
    }
    umount(folder.path().c_str());
}

}  // namespace
}  // namespace sutazai::store
