#include "catalog/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/temporary_folder.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

/// A folder that goes away with the test.
class CatalogTest : public testing::Test {
  protected:
    std::string put(const std::string& name, const std::string& content = "x") {
        const fs::path path = folder_ / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << content;
        return path.string();
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
};

std::vector<std::string> names(const Catalog& catalog) {
    std::vector<std::string> out;
    for (const auto& file : catalog.list()) out.push_back(file.name);
    return out;
}

using Names = std::vector<std::string>;

TEST(ModelNames, HoldNoPathTricks) {
    for (const char* name : {"a", "qwen2.5:3b", "library/qwen2.5:3b", "_x", "7b", "A-b_c.d:e/f"}) {
        EXPECT_TRUE(is_valid_model_name(name)) << name;
    }
    for (const char* name :
         {"", "/etc/passwd", "../x", "a/../b", "a..b", ".hidden", "-flag", ":tag", "a b", "a\\b", "a\n", "ä", "a%2f"}) {
        EXPECT_FALSE(is_valid_model_name(name)) << name;
    }
    EXPECT_TRUE(is_valid_model_name(std::string(200, 'a')));
    EXPECT_FALSE(is_valid_model_name(std::string(201, 'a')));
    EXPECT_FALSE(is_valid_model_name(std::string_view("a\0b", 3)));
}

TEST_F(CatalogTest, ListsTheFolderByFileName) {
    put("zeta.gguf", "12345");
    put("alpha-1.5b.gguf");
    put("readme.txt");
    put("spaced name.gguf");
    put(".hidden.gguf");
    put("folder.gguf/inner.gguf");
    const Catalog catalog({}, folder_.string(), {});
    EXPECT_EQ(names(catalog), (Names{"alpha-1.5b", "spaced-name", "zeta"}));
    EXPECT_EQ(catalog.notes(), (Names{"spaced name.gguf is offered as \"spaced-name\""}));
    EXPECT_EQ(catalog.find("spaced-name")->path, (folder_ / "spaced name.gguf").string());
    const auto found = catalog.find("zeta");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, (folder_ / "zeta.gguf").string());
    EXPECT_EQ(found->bytes, 5);
    EXPECT_GT(found->modified_unix_s, 1'600'000'000);
}

TEST_F(CatalogTest, AProjectorInTheFolderIsNoModel) {
    put("tiny-Q4_0.gguf");
    put("other.gguf");
    put("mmproj-tiny-f16.gguf");
    const Catalog catalog({}, folder_.string(), {});
    EXPECT_EQ(names(catalog), (Names{"other", "tiny-Q4_0"}));
    EXPECT_EQ(profile_of(*catalog.find("tiny-Q4_0")).load.projector, (folder_ / "mmproj-tiny-f16.gguf").string());
    EXPECT_EQ(profile_of(*catalog.find("other")).load.projector, "");
}

TEST_F(CatalogTest, SeesFilesThatComeAndGo) {
    Catalog catalog({}, folder_.string(), {});
    EXPECT_FALSE(catalog.find("late"));
    put("late.gguf");
    EXPECT_FALSE(catalog.find("late")) << "nothing looks at the disk unasked";
    const auto before = catalog.generation();
    catalog.refresh();
    EXPECT_TRUE(catalog.find("late"));
    EXPECT_NE(catalog.generation(), before);
    fs::remove(folder_ / "late.gguf");
    catalog.refresh();
    EXPECT_FALSE(catalog.find("late"));
    EXPECT_TRUE(catalog.list().empty());
    const auto after = catalog.generation();
    catalog.refresh();
    EXPECT_EQ(catalog.generation(), after) << "nothing has changed";
}

TEST_F(CatalogTest, ASplitModelIsOneWithTheSizesOfAll) {
    put("big-00001-of-00003.gguf", "12345");
    put("big-00002-of-00003.gguf", "123");
    const Catalog broken({}, folder_.string(), {});
    EXPECT_EQ(names(broken), (Names{"big"})) << "it is listed";
    const auto missing = broken.find("big");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message, "the model \"big\" cannot be used: its part big-00003-of-00003.gguf is missing");
    put("big-00003-of-00003.gguf", "1");
    const Catalog whole({{"named", (folder_ / "big-00001-of-00003.gguf").string()}}, folder_.string(), {});
    for (const char* name : {"big", "named"}) {
        const auto found = whole.find(name);
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(found->bytes, 9);
        EXPECT_EQ(found->stamps.size(), 3);
        EXPECT_EQ(found->path, (folder_ / "big-00001-of-00003.gguf").string());
    }
}

TEST_F(CatalogTest, WhatANamedModelHidesIsSaid) {
    put("both.gguf");
    const Catalog catalog({{"both", put("elsewhere/x.gguf")}}, folder_.string(), {});
    EXPECT_EQ(catalog.notes(), (Names{"both.gguf is hidden by the model that is named \"both\""}));
}

TEST_F(CatalogTest, AnErrorNamesAFew) {
    for (int i = 0; i < 25; ++i) put("m" + std::to_string(100 + i) + ".gguf");
    const auto none = Catalog({}, folder_.string(), {}).find("x");
    EXPECT_TRUE(none.error().message.ends_with("m119 and 5 more")) << none.error().message;
}

TEST_F(CatalogTest, NamedComesBeforeTheFolderBeforeTheBundled) {
    const auto named = put("elsewhere/named.gguf");
    const auto bundled = put("share/demo.gguf");
    put("both.gguf");
    put("demo.gguf");
    const Catalog catalog({{"both", named}}, folder_.string(), {{"demo", bundled}, {"other", bundled}});
    EXPECT_EQ(names(catalog), (Names{"both", "demo", "other"}));
    EXPECT_EQ(catalog.find("both")->path, named);
    EXPECT_EQ(catalog.find("demo")->path, (folder_ / "demo.gguf").string());
    EXPECT_EQ(catalog.find("other")->path, bundled);
}

TEST_F(CatalogTest, ErrorsSayWhatThereIs) {
    put("one.gguf");
    put("two.gguf");
    const Catalog catalog({{"gone", (folder_ / "nowhere.gguf").string()}}, folder_.string(), {});
    const auto unknown = catalog.find("three");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(unknown.error().message, "there is no model \"three\"; this server has: one, two");
    const auto gone = catalog.find("gone");
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(gone.error().message, "the file of model \"gone\" is not there");
    const auto invalid = catalog.find("../one");
    ASSERT_FALSE(invalid);
    EXPECT_EQ(invalid.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(invalid.error().field, "model");
    EXPECT_EQ(Catalog({}, "", {}).find("x").error().message, "there is no model \"x\"; this server has none");
}

TEST_F(CatalogTest, ChoosesADefault) {
    const auto path = put("elsewhere/x.gguf");
    EXPECT_EQ(Catalog({}, "", {}).default_model(), "");
    EXPECT_EQ(Catalog({}, (folder_ / "missing").string(), {{"demo", path}}).default_model(), "demo");
    put("only.gguf");
    EXPECT_EQ(Catalog({}, folder_.string(), {{"demo", path}}).default_model(), "only");
    put("second.gguf");
    EXPECT_EQ(Catalog({}, folder_.string(), {{"demo", path}}).default_model(), "demo");
    EXPECT_EQ(Catalog({}, folder_.string(), {}).default_model(), "");
    EXPECT_EQ(Catalog({{"named", path}}, folder_.string(), {}).default_model(), "named");
    EXPECT_EQ(Catalog({{"a", path}, {"b", path}}, folder_.string(), {}, "b").default_model(), "b");
}

TEST_F(CatalogTest, MakesPathsAbsolute) {
    const auto path = put("x.gguf");
    const auto relative = fs::relative(path).string();
    EXPECT_EQ(Catalog({{"x", relative}}, "", {}).find("x")->path, path);
}

}  // namespace
}  // namespace sutazai::catalog
