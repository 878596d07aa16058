#include "fetch/hf_tree.h"

#include <gtest/gtest.h>

namespace sutazai::fetch {
namespace {

constexpr const char* kTree = R"([
    {"type": "file", "oid": "1", "size": 10, "path": "README.md"},
    {"type": "directory", "oid": "2", "size": 0, "path": "old.gguf"},
    {"type": "file", "oid": "3", "size": 134, "path": "tiny-Q4_K_M.gguf", "lfs":
        {"oid": "00000000000000000000000000000000000000000000000000000000000000ab", "size": 4000, "pointerSize": 134}},
    {"type": "file", "oid": "4", "size": 134, "path": "big/tiny-F16.gguf", "lfs": {"oid": "wrong", "size": 9000}},
    {"type": "file", "oid": "5", "size": 7, "path": "tiny-Q8_0-00001-of-00002.gguf"},
    {"type": "file", "oid": "6", "size": 7, "path": "tiny-Q8_0-00002-of-00002.gguf"},
    {"type": "file", "oid": "7", "size": 7, "path": "mmproj-tiny-F16.gguf"}])";

TEST(HfTree, GgufFilesAreFound) {
    const auto files = parse_hf_tree(kTree);
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 5U);
    EXPECT_EQ((*files)[0].path, "tiny-Q4_K_M.gguf");
    EXPECT_EQ((*files)[0].bytes, 4000U) << "not the pointer's";
    EXPECT_TRUE((*files)[0].digest);
    EXPECT_FALSE((*files)[1].digest);
    for (const char* const text : {"", "{}", "[1]", "null", R"({"error": "x"})"})
        EXPECT_FALSE(parse_hf_tree(text)) << text;
}

TEST(HfTree, AFileIsChosen) {
    const auto files = *parse_hf_tree(kTree);
    EXPECT_EQ(choose_hf_file("a/b", files, "")->path, "tiny-Q4_K_M.gguf");
    EXPECT_EQ(choose_hf_file("a/b", files, "q4_k_m")->path, "tiny-Q4_K_M.gguf");
    EXPECT_EQ(choose_hf_file("a/b", files, "F16")->path, "big/tiny-F16.gguf") << "not the projector's";
    const auto none = choose_hf_file("a/b", files, "Q2_K");
    EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
    EXPECT_NE(none.error().message.find("Q4_K_M"), std::string::npos) << none.error().message;
    const auto split = choose_hf_file("a/b", files, "Q8_0");
    EXPECT_EQ(split.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(split.error().message.find("split into 2 files"), std::string::npos) << split.error().message;
    EXPECT_EQ(choose_hf_file("a/b", {}, "").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace sutazai::fetch
