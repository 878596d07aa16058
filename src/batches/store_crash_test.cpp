#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "batches/file_writer.h"
#include "batches/input_reader.h"
#include "batches/results.h"
#include "batches/testing/store_folder.h"

/// Whoever runs a batch is killed again and again, wherever it is. The workers are processes of their own.
namespace sutazai::batches {
namespace {

using testing_support::StoreTest;

constexpr int kLines = 3000;

/// Takes the one batch from where it is to its end. An exit code.
int run_batch(const std::filesystem::path& folder) {
    Store store(folder);
    remove_left_over(store);
    const auto unfinished = store.unfinished();
    if (!unfinished) return 2;
    if (unfinished->empty()) return 0;
    const BatchRecord record = unfinished->front();
    if (record.object.status == BatchStatus::kValidating) {
        auto reader = InputReader::begin(store, record, {10 * kLines, 1 << 20});
        if (!reader) return 3;
        for (bool all_read = false; !all_read;) {
            const auto stepped = reader->step();
            if (!stepped) return 4;
            all_read = *stepped;
        }
        if (!reader->errors().empty() || !store.begin_work(record.number, 1)) return 5;
    }
    std::mt19937 random(static_cast<unsigned>(getpid()));
    for (;;) {
        const auto lines = store.open_lines(record.number, nullptr, 1 + static_cast<int>(random() % 60));
        if (!lines) return 6;
        if (lines->empty()) break;
        std::vector<NewResult> results;
        for (const LineRecord& line : *lines) {
            results.push_back({line.number, line.number % 7 != 0, line.custom_id + "\n"});
        }
        if (!keep_results(store, record.number, results)) return 7;
    }
    if (!store.begin_finalizing(record.number, 2)) return 8;
    Finishing finishing(store, record, BatchStatus::kCompleted, 3, 0);
    for (;;) {
        const auto stepped = finishing.step();
        if (!stepped) return 9;
        if (*stepped) return 0;
    }
}

pid_t in_child(const std::filesystem::path& folder) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(run_batch(folder));
}

using BatchCrash = StoreTest;

TEST_F(BatchCrash, KillsLoseNothingAndDoubleNothing) {
    std::string content;
    for (int i = 0; i < kLines; ++i) {
        content += R"({"custom_id":"id-)" + std::to_string(i) +
                   R"(","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})" + "\n";
    }
    std::string id;
    {
        Store ordering(folder_ / "batches");
        ASSERT_TRUE(ordering.add_file("", file("file-in", content.size()), 1 << 30));
        std::ofstream(ordering.file_path("file-in"), std::ios::binary) << content;
        id = ordering.add_batch("", order("file-in"), 1)->object.id;
    }
    std::mt19937 random(7);
    int n_kills = 0;
    for (bool ended = false; !ended;) {
        const pid_t pid = in_child(folder_ / "batches");
        std::this_thread::sleep_for(std::chrono::milliseconds(1 + random() % 20));
        if (n_kills < 60) kill(pid, SIGKILL);
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (WIFSIGNALED(status)) {
            ++n_kills;
        } else {
            ASSERT_EQ(WEXITSTATUS(status), 0);
            ended = true;
        }
    }
    EXPECT_GT(n_kills, 3);
    const auto batch = store_.batch("", id);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->object.status, BatchStatus::kCompleted);
    EXPECT_EQ(batch->object.counts.total, kLines);
    EXPECT_EQ(batch->object.counts.open(), 0);
    std::map<std::string, int> seen;
    for (const std::string& file_id : {batch->object.output_file_id, batch->object.error_file_id}) {
        std::ifstream file(store_.file_path(file_id));
        for (std::string line; std::getline(file, line);) ++seen[line];
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(kLines));
    for (const auto& [line, n] : seen) EXPECT_EQ(n, 1) << line;
    const auto listed = store_.files("", {.limit = 100}, 10);
    EXPECT_EQ(listed->items.size(), 3U);
}

}  // namespace
}  // namespace sutazai::batches
