#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "batches/store.h"

/// What the tests of stores share; for tests only.
namespace sutazai::batches::testing_support {

/// A store in a folder of its own.
class StoreTest : public testing::Test {
  protected:
    static std::filesystem::path new_folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "sutazai-batches-XXXXXX").string();
        return ::mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static FileObject file(std::string id, std::uint64_t bytes = 1) {
        return {std::move(id), "in.jsonl", "batch", bytes, 1, 0};
    }
    static api::openai::BatchOrder order(std::string input) {
        return {.input_file_id = std::move(input), .completion_window = "24h", .window_s = 86400};
    }

    /// The number of a batch whose input has this content; its file is "file-in".
    std::int64_t validating(std::string_view content = "") {
        EXPECT_TRUE(store_.add_file("", file("file-in", content.size()), 1 << 30));
        std::ofstream(store_.file_path("file-in"), std::ios::binary) << content;
        EXPECT_TRUE(store_.add_batch("", order("file-in"), 1));
        return store_.unfinished()->front().number;
    }
    /// One that is in progress, with a line for each custom_id.
    std::int64_t begun(std::initializer_list<const char*> custom_ids) {
        const std::int64_t batch = validating();
        std::vector<LineRecord> lines;
        for (const char* id : custom_ids) {
            lines.push_back({static_cast<std::int64_t>(lines.size()) + 1, id, "m", "key", 0, 1});
        }
        EXPECT_TRUE(store_.add_lines(batch, lines)->empty());
        EXPECT_TRUE(*store_.begin_work(batch, 2));
        return batch;
    }

    std::filesystem::path folder_ = new_folder();
    Store store_{folder_ / "batches"};
};

}  // namespace sutazai::batches::testing_support
