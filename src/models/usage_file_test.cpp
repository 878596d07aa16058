#include "models/usage_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace sutazai::models {
namespace {

namespace fs = std::filesystem;

UsageByName some() {
    return {{"qwen2.5:3b", {true, true, 12.5, 1'700'000'000, 420, 1'900'000'000, -5'000'000}},
            {"b", {false, false, 0, 0, 0, 10, std::nullopt}},
            {"c", {false, true, 0, 0, 0, 10, std::nullopt}}};
}

TEST(UsageFile, ReadsWhatItWrote) {
    EXPECT_EQ(parse_usage(usage_text(some())), some());
    EXPECT_EQ(parse_usage(usage_text({})), UsageByName{});
}

TEST(UsageFile, LeavesOutWhatItDoesNotUnderstand) {
    const std::string text =
        "sutazai-usage 1\n"
        "../evil\twarm\t1\t1\t1\t1\t-\n"
        "a\twarm\tnan\t1\t1\t1\t-\n"
        "b\thot\t1\t1\t1\t1\t-\n"
        "c\twarm\t1\t1\t1\t1\n"
        "d\twarm\t1\t1\t1\t1\t-\textra\n"
        "e\twarm\t1\t1\t1\t1\t7\n"
        "g\twarm+pinned?\t1\t1\t1\t1\t7\n"
        "h\twarm+\t1\t1\t1\t1\t7\n"
        "f\twarm\t1";
    EXPECT_EQ(parse_usage(text), (UsageByName{{"e", {true, false, 1, 1, 1, 1, 7}}}));
    EXPECT_EQ(parse_usage("sutazai-usage 2\ne\twarm\t1\t1\t1\t1\t7\n"), UsageByName{});
}

TEST(UsageFile, GarbageIsNoDanger) {
    std::mt19937 random(20250126);
    for (int i = 0; i < 2000; ++i) {
        std::string text = usage_text(some());
        for (int n = 0; n < 5; ++n) text[random() % text.size()] = static_cast<char>(random());
        for (const auto& [name, entry] : parse_usage(text)) EXPECT_GE(entry.score, 0);
    }
}

TEST(UsageFile, IsReplacedAsAWhole) {
    std::string pattern = (fs::temp_directory_path() / "sutazai-usage-XXXXXX").string();
    const fs::path folder = ::mkdtemp(pattern.data());
    const std::string path = (folder / "new" / "usage").string();
    EXPECT_EQ(read_usage(path), UsageByName{});
    EXPECT_TRUE(write_usage(path, some()));
    EXPECT_EQ(read_usage(path), some());
    EXPECT_TRUE(write_usage(path, {}));
    EXPECT_EQ(read_usage(path), UsageByName{});
    EXPECT_EQ(std::distance(fs::directory_iterator(folder / "new"), fs::directory_iterator{}), 1)
        << "nothing is left over";
    fs::create_directory(folder / "in the way");
    EXPECT_FALSE(write_usage((folder / "in the way").string(), some()));
    EXPECT_EQ(read_usage((folder / "in the way").string()), UsageByName{});
    fs::remove_all(folder);
}

}  // namespace
}  // namespace sutazai::models
