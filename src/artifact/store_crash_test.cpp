#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "artifact/store.h"
#include "artifact/testing/test_blocks.h"

/// What real disks and real kills do. The writers are processes of their own.
namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;
using testing::at;
using testing::kNow;

const Fingerprint& fingerprint() {
    static const Fingerprint instance(testing::parts_of());
    return instance;
}

StoreOptions options_for(const fs::path& folder) {
    StoreOptions options;
    options.folder = folder;
    options.reserve_bytes = 0;
    return options;
}

/// The payload that belongs to a block's number: what is read back is compared with it.
std::vector<std::byte> payload_of(int seed) {
    return testing::random_bytes(20'000 + static_cast<std::size_t>(seed) % 7 * 30'000,
                                 static_cast<std::uint64_t>(seed));
}
BlockInfo info_of(int seed) {
    return testing::single(fingerprint(), seed % 1000, 1);
}
int seed_of(const BlockInfo& info) {
    for (int seed = 0; seed < 1000; ++seed) {
        if (info.tokens == testing::tokens_of(1, seed)) return seed;
    }
    return -1;
}

pid_t in_child(const std::function<int()>& work) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(work());
}
int wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/// Every listed artifact verifies and holds what was put under its name; how many there are.
std::size_t check_all(const fs::path& folder) {
    const auto store = ArtifactStore::open(options_for(folder), fingerprint());
    EXPECT_TRUE(store);
    (*store)->refresh();
    const auto entries = (*store)->entries(at(kNow));
    EXPECT_EQ(entries.size(), list_blocks(folder / fingerprint().id()).size()) << "a file that is no artifact";
    for (const auto& entry : entries) {
        const auto block = (*store)->get(entry.hash, at(kNow));
        EXPECT_TRUE(block) << block.error().message;
        if (!block) continue;
        const int seed = seed_of(block->info);
        EXPECT_TRUE(std::ranges::equal(block->payload, payload_of(seed)))
            << "block " << seed << " of " << block->payload.size() << ", not " << payload_of(seed).size();
    }
    EXPECT_EQ((*store)->stats().damaged, 0U);
    return entries.size();
}

TEST(StoreCrash, KilledWritersLoseNothingButTheirLastBlock) {
    const testing::TempFolder folder;
    std::mt19937 random(20261124);
    std::size_t before = 0;
    for (int round = 0; round < 60; ++round) {
        int report[2];
        ASSERT_EQ(pipe(report), 0);
        const pid_t pid = in_child([&] {
            auto store = ArtifactStore::open(options_for(folder.path()), fingerprint());
            if (!store) return 1;
            for (int i = 0;; ++i) {
                const int seed = round * 13 + i;
                if (!(*store)->put(info_of(seed), payload_of(seed % 1000), at(kNow))) return 2;
                if (write(report[1], &seed, sizeof seed) != sizeof seed) return 3;
            }
        });
        close(report[1]);
        std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 30'000));
        kill(pid, SIGKILL);
        const int status = wait_for(pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "round " << round << " ended by itself: " << WEXITSTATUS(status);
        // All that was reported as written is there.
        int seed = 0;
        const auto store = ArtifactStore::open(options_for(folder.path()), fingerprint());
        ASSERT_TRUE(store) << store.error().message;
        while (read(report[0], &seed, sizeof seed) == sizeof seed) {
            EXPECT_TRUE((*store)->get(info_of(seed).hash, at(kNow))) << "round " << round << ", block " << seed;
        }
        close(report[0]);
        const std::size_t now = check_all(folder.path());
        EXPECT_GE(now, before);
        before = now;
    }
    EXPECT_GT(before, 20U) << "the writers were killed before they wrote";
    const fs::path tmp = folder.path() / fingerprint().id() / "tmp";
    const auto files = std::distance(fs::directory_iterator(tmp), fs::directory_iterator());
    const auto pruned = prune_folder(folder.path(), {std::chrono::hours(2), 1ULL << 40U}, at(kNow + 3600));
    ASSERT_TRUE(pruned);
    EXPECT_EQ(pruned->removed, 0U);
    EXPECT_TRUE(fs::is_empty(tmp)) << files << " files of dead writers";
}

/// Runs `work` where there is room for about `bytes`: in a small tmpfs of an own mount namespace, else under a limit
/// on the size of a file.
int on_a_small_disk(const fs::path& folder, std::size_t bytes, const std::function<int(bool is_tmpfs)>& work) {
    const pid_t pid = in_child([&] {
        const std::string size = "size=" + std::to_string(bytes);
        if (unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()) == 0) {
            return work(true);
        }
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{bytes / 50, bytes / 50};
        setrlimit(RLIMIT_FSIZE, &limit);
        return work(false);
    });
    const int status = wait_for(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StoreCrash, AFullDiskCostsTheBlockThatIsWrittenAndNothingElse) {
    const testing::TempFolder folder;
    const int code = on_a_small_disk(folder.path(), 2 << 20, [&](bool is_tmpfs) {
        auto store = ArtifactStore::open(options_for(folder.path()), fingerprint());
        if (!store) return 10;
        std::int64_t now = kNow;
        int written = 0;
        int failed = 0;
        std::map<int, bool> outcome;
        for (int seed = 0; seed < 60; ++seed, now += 1000) {
            const auto put = (*store)->put(info_of(seed), payload_of(seed), at(now));
            outcome[seed] = put.has_value();
            (put ? written : failed)++;
            if (!put && put.error().code != ErrorCode::kUnavailable) return 11;
        }
        if (written == 0 || failed == 0) return 12;
        for (const auto& [seed, ok] : outcome) {
            if ((*store)->get(info_of(seed).hash, at(now)).has_value() != ok) return 13;
        }
        if ((*store)->stats().damaged != 0) return 14;
        if (!fs::is_empty(folder.path() / fingerprint().id() / "tmp")) return 15;
        if (!is_tmpfs) return 0;
        // Room again: it goes on.
        fs::remove_all(folder.path() / fingerprint().id() / "quarantine");
        if (!prune_folder(folder.path(), {std::chrono::hours(1000), 500'000}, at(now + 100))) return 16;
        if (!(*store)->put(info_of(900), payload_of(900), at(now + 1000))) return 17;
        if (!(*store)->get(info_of(900).hash, at(now + 1000))) return 18;
        return 0;
    });
    EXPECT_EQ(code, 0);
}

TEST(StoreCrash, ManyProcessesWriteReadAndPruneAtOnce) {
    const testing::TempFolder folder;
    constexpr int kRounds = 150;
    std::vector<pid_t> children;
    for (int child = 0; child < 4; ++child) {
        children.push_back(in_child([&, child] {
            auto store = ArtifactStore::open(options_for(folder.path()), fingerprint());
            if (!store) return 1;
            std::mt19937 random(static_cast<unsigned>(child));
            for (int i = 0; i < kRounds; ++i) {
                // Time goes quickly here, so that blocks grow old; all children agree on it roughly.
                const std::int64_t now = kNow + i * 10;
                const int seed = static_cast<int>(random() % 80);
                const auto put = (*store)->put(info_of(seed), payload_of(seed), at(now));
                if (!put) return 2;
                const int wanted = static_cast<int>(random() % 80);
                const auto block = (*store)->get(info_of(wanted).hash, at(now));
                if (block && !std::ranges::equal(block->payload, payload_of(wanted))) return 3;
                if (!block && block.error().code != ErrorCode::kNotFound) return 4;
                if (i % 10 == child) {
                    if (!(*store)->prune(std::chrono::seconds(300), at(now))) return 5;
                }
                if (i % 25 == 0) (*store)->refresh();
            }
            return (*store)->stats().damaged == 0 ? 0 : 6;
        }));
    }
    for (const pid_t pid : children) {
        const int status = wait_for(pid);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    EXPECT_GT(check_all(folder.path()), 0U);
}

/// The promise of prune_folder(): nothing that was put or used in the last minute goes, whoever prunes at that moment.
TEST(StoreCrash, PruningNeverTakesWhatIsInUse) {
    const testing::TempFolder folder;
    const auto store = ArtifactStore::open(options_for(folder.path()), fingerprint());
    ASSERT_TRUE(store);
    for (int seed = 0; seed < 20; ++seed) {
        ASSERT_TRUE((*store)->put(info_of(seed), payload_of(seed), at(kNow - 1000)));
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const pid_t pruner = in_child([&] {
        while (std::chrono::steady_clock::now() < end) {
            if (!prune_folder(folder.path(), {std::chrono::seconds(0), 0}, at(kNow))) return 1;
        }
        return 2;
    });
    // What a get() found at kNow stays from then on; the pruner may have been quicker.
    int found = 0;
    for (int seed = 0; seed < 20; ++seed) {
        const BlockInfo info = info_of(seed);
        if (!(*store)->get(info.hash, at(kNow))) continue;
        ++found;
        for (int i = 0; i < 20; ++i) {
            EXPECT_TRUE(fs::exists(block_path(folder.path() / fingerprint().id(), info.hash)));
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }
    for (int seed = 20; seed < 60; ++seed) {
        const BlockInfo info = info_of(seed);
        const auto put = (*store)->put(info, payload_of(seed), at(kNow));
        ASSERT_TRUE(put) << put.error().message;
        EXPECT_TRUE((*store)->get(info.hash, at(kNow))) << seed;
    }
    kill(pruner, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(pruner)));
    EXPECT_GE(check_all(folder.path()), static_cast<std::size_t>(40 + found));
}

}  // namespace
}  // namespace sutazai::artifact
