#include "base/model_parts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temporary_folder.h"

namespace sutazai {
namespace {

namespace fs = std::filesystem;

class ModelParts : public testing::Test {
  protected:
    std::string put(const std::string& name, const std::string& content = "x") {
        std::ofstream(folder_ / name) << content;
        return (folder_ / name).string();
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
};

TEST(PartNames, AreThoseOfGgufSplit) {
    const auto name = parse_part_name("my-model-00002-of-00012.gguf");
    ASSERT_TRUE(name);
    EXPECT_EQ(name->model, "my-model");
    EXPECT_EQ(name->number, 2);
    EXPECT_EQ(name->count, 12);
    EXPECT_EQ(name->file_name(12), "my-model-00012-of-00012.gguf");
    EXPECT_EQ(parse_part_name("x-00001-of-00002.GGUF")->file_name(2), "x-00002-of-00002.GGUF");
    for (const char* none : {"", "x.gguf", "x-00001-of-00001.gguf", "x-00000-of-00002.gguf", "x-00003-of-00002.gguf",
                             "x-1-of-2.gguf", "x-00001-of-00002.bin", "-00001-of-00002.gguf", "x-0000a-of-00002.gguf",
                             "x-+0001-of-00002.gguf", "x-00001_of-00002.gguf", "x00001-of-00002.gguf", "-of-.gguf"}) {
        EXPECT_FALSE(parse_part_name(none)) << none;
    }
}

TEST(PartNames, OnlyAFirstPartStandsForAll) {
    EXPECT_EQ(model_parts("/m/x.gguf"), std::vector<std::string>{"/m/x.gguf"});
    EXPECT_EQ(model_parts("/m/x-00001-of-00002.gguf"),
              (std::vector<std::string>{"/m/x-00001-of-00002.gguf", "/m/x-00002-of-00002.gguf"}));
    EXPECT_EQ(model_parts("x-00002-of-00002.gguf"), std::vector<std::string>{"x-00002-of-00002.gguf"});
}

TEST_F(ModelParts, StampsTellOneFileFromAnother) {
    const auto path = put("a.gguf");
    const auto before = model_stamps(path);
    ASSERT_TRUE(before);
    EXPECT_EQ(before, model_stamps(path));
    put("a.gguf", "yy");
    EXPECT_NE(before, model_stamps(path)) << "another size";
    const auto other = put("b", "zz");
    const auto longer = model_stamps(path);
    fs::rename(other, path);
    const auto renamed = model_stamps(path);
    EXPECT_NE(longer, renamed);
    EXPECT_FALSE(longer->front().same_file(renamed->front()));
    const struct timespec times[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    EXPECT_TRUE(renamed->front().same_file(model_stamps(path)->front()));
    EXPECT_NE(renamed, model_stamps(path)) << "another time";
}

TEST_F(ModelParts, AMissingPartIsNamed) {
    const auto first = put("m-00001-of-00003.gguf");
    put("m-00003-of-00003.gguf");
    std::string missing;
    EXPECT_FALSE(model_stamps(first, &missing));
    EXPECT_EQ(missing, "m-00002-of-00003.gguf");
    put("m-00002-of-00003.gguf");
    EXPECT_EQ(model_stamps(first)->size(), 3);
}

TEST_F(ModelParts, AFolderIsNoFile) {
    fs::create_directory(folder_ / "d.gguf");
    EXPECT_FALSE(stamp_of((folder_ / "d.gguf").string()));
}

}  // namespace
}  // namespace sutazai
