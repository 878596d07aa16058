#include "batches/results.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "batches/input_reader.h"
#include "batches/testing/store_folder.h"

namespace sutazai::batches {
namespace {

namespace fs = std::filesystem;
using testing_support::StoreTest;

std::string input_line(const std::string& id, const std::string& url = "/v1/chat/completions") {
    return R"({"custom_id":")" + id + R"(","method":"POST","url":")" + url + R"(","body":{"model":"m"}})";
}

class FromInputToOutput : public StoreTest {
  protected:
    std::vector<BatchError> read_all(InputLimits limits = {1000, 1 << 20}) {
        auto reader = InputReader::begin(store_, store_.unfinished()->front(), limits);
        EXPECT_TRUE(reader);
        for (;;) {
            const auto stepped = reader->step();
            EXPECT_TRUE(stepped) << stepped.error().message;
            if (!stepped || *stepped) return reader->errors();
        }
    }
    std::string text_of(const std::string& file_id) {
        std::ifstream file(store_.file_path(file_id), std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    BatchObject finish(BatchStatus end) {
        const BatchRecord record = store_.unfinished()->front();
        Finishing finishing(store_, record, end, 100, 200);
        for (;;) {
            const auto stepped = finishing.step();
            EXPECT_TRUE(stepped) << stepped.error().message;
            if (!stepped || *stepped) break;
        }
        return store_.batch("", record.object.id)->object;
    }
};

TEST_F(FromInputToOutput, ResultsThatTheDiskHasNoRoomForTakeNone) {
    const std::int64_t batch = begun({"a", "b"});
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{1, true, "first\n"}}));
    rlimit usual{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
    const rlimit little{1 << 20, usual.rlim_max};
    const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
    const auto kept = keep_results(store_, batch, std::vector<NewResult>{{2, true, std::string(2 << 20, 'x')}});
    ::setrlimit(RLIMIT_FSIZE, &usual);
    std::signal(SIGXFSZ, ignored);
    EXPECT_FALSE(kept);
    EXPECT_EQ(fs::file_size(store_.results_path(batch)), 6U);
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{2, true, "second\n"}}));
    EXPECT_EQ(text_of(finish(BatchStatus::kCompleted).output_file_id), "first\nsecond\n");
}

TEST_F(FromInputToOutput, FindsLinesWhereTheyAre) {
    const std::string content = "\n" + input_line("a") + "\r\n  \n" + input_line("b");  // no end of line at the end
    const std::int64_t batch = validating(content);
    EXPECT_TRUE(read_all().empty());
    ASSERT_TRUE(*store_.begin_work(batch, 1));
    EXPECT_EQ(store_.unfinished()->front().object.model, "m");
    const auto lines = store_.open_lines(batch, nullptr, 10);
    ASSERT_EQ(lines->size(), 2U);
    for (const LineRecord& line : *lines) {
        const std::string text = content.substr(line.offset, line.bytes);
        EXPECT_NE(text.find("\"" + line.custom_id + "\""), std::string::npos) << text;
        EXPECT_EQ(text.find('\n'), std::string::npos);
    }
    EXPECT_EQ((*lines)[0].number, 2);
    EXPECT_EQ((*lines)[1].number, 4);
}

TEST_F(FromInputToOutput, TellsWhatIsWrongLineByLine) {
    validating(input_line("a") + "\n{\n" + input_line("a") + "\n" + input_line("b", "/v1/embeddings") + "\n");
    const auto errors = read_all();
    ASSERT_EQ(errors.size(), 3U);
    EXPECT_EQ(errors[0].code, "invalid_json_line");
    EXPECT_EQ(errors[0].line, 2);
    EXPECT_EQ(errors[1].code, "duplicate_custom_id");
    EXPECT_EQ(errors[1].line, 3);
    EXPECT_EQ(errors[2].code, "mismatched_url");
    EXPECT_EQ(errors[2].line, 4);
}

TEST_F(FromInputToOutput, HoldsInputToItsLimits) {
    validating(input_line("a") + "\n" + input_line("b") + "\n" + input_line("c") + "\n");
    EXPECT_EQ(read_all({2, 1 << 20}).at(0).code, "too_many_tasks");
    EXPECT_EQ(read_all({10, 20}).at(0).code, "line_too_long");
    EXPECT_TRUE(read_all({3, 1 << 20}).empty());  // a reader begins anew
}

TEST_F(FromInputToOutput, ALineWithoutEndIsNotGathered) {
    validating(std::string(3 << 20, 'x'));
    const auto errors = read_all({10, 1 << 20});
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].code, "line_too_long");
}

TEST_F(FromInputToOutput, AnEmptyFileIsAnError) {
    validating("\n \n");
    EXPECT_EQ(read_all().at(0).code, "empty_file");
}

TEST_F(FromInputToOutput, WritesFilesInTheOrderOfTheLines) {
    const std::int64_t batch = begun({"a", "b", "c", "d"});
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{3, true, "three\n"}, {2, false, "two\n"}}));
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{1, true, "one\n"}, {3, true, "again\n"}}));
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{4, true, "four\n"}}));
    ASSERT_TRUE(*store_.begin_finalizing(batch, 5));
    const BatchObject object = finish(BatchStatus::kCompleted);
    EXPECT_EQ(object.status, BatchStatus::kCompleted);
    EXPECT_EQ(object.counts, (BatchCounts{4, 3, 1}));
    EXPECT_EQ(text_of(object.output_file_id), "one\nthree\nfour\n");
    EXPECT_EQ(text_of(object.error_file_id), "two\n");
    const auto file = store_.file("", object.output_file_id, 150);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->purpose, "batch_output");
    EXPECT_EQ(file->bytes, 15U);
    EXPECT_EQ(file->expires_unix_s, 200);
    EXPECT_FALSE(fs::exists(store_.results_path(batch)));
}

TEST_F(FromInputToOutput, LinesThatDidNotRunAreErrors) {
    const std::int64_t batch = begun({"a", "b"});
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{1, true, "one\n"}}));
    const BatchObject object = finish(BatchStatus::kExpired);
    EXPECT_EQ(text_of(object.output_file_id), "one\n");
    const std::string errors = text_of(object.error_file_id);
    EXPECT_NE(errors.find(R"("custom_id":"b","response":null,"error":{"code":"batch_expired")"), std::string::npos)
        << errors;
}

TEST_F(FromInputToOutput, WhatIsEmptyIsNoFile) {
    const std::int64_t batch = begun({"a"});
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{1, true, "one\n"}}));
    const BatchObject object = finish(BatchStatus::kCompleted);
    EXPECT_NE(object.output_file_id, "");
    EXPECT_EQ(object.error_file_id, "");
}

TEST_F(FromInputToOutput, WhatIsLeftOverGoes) {
    const std::int64_t batch = begun({"a"});
    ASSERT_TRUE(keep_results(store_, batch, std::vector<NewResult>{{1, true, "one\n"}}));
    const fs::path orphan = store_.file_path("file-orphan");
    const fs::path fresh = store_.file_path("file-fresh");
    const fs::path stale = store_.folder() / "results" / "77";
    for (const fs::path& path : {orphan, fresh, stale}) std::ofstream(path) << "x";
    const auto old = fs::file_time_type::clock::now() - std::chrono::minutes(5);
    fs::last_write_time(orphan, old);
    fs::last_write_time(store_.file_path("file-in"), old);
    remove_left_over(store_);
    EXPECT_FALSE(fs::exists(orphan));
    EXPECT_TRUE(fs::exists(fresh));  // it may be recorded in a moment
    EXPECT_TRUE(fs::exists(store_.file_path("file-in")));
    EXPECT_FALSE(fs::exists(stale));
    EXPECT_TRUE(fs::exists(store_.results_path(batch)));
}

}  // namespace
}  // namespace sutazai::batches
