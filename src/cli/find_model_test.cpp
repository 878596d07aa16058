#include "cli/find_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/testing/temporary_folder.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(NearNames, AreThoseOfOtherLettersAndThoseThatBeginAlike) {
    const Names names{"smollm2-135m", "qwen2.5-0.5b", "Llama-3-8B", "a"};
    EXPECT_EQ(near_names("smollm-135m", names), Names{"smollm2-135m"});
    EXPECT_EQ(near_names("SMOLLM2", names), Names{"smollm2-135m"});
    EXPECT_EQ(near_names("llama-3-8b-instruct", names), Names{"Llama-3-8B"});
    EXPECT_EQ(near_names("gemma", names), Names{});
    EXPECT_EQ(near_names("", names), Names{});
    EXPECT_EQ(near_names("m1", {"m2", "m11", "m1", "m3", "m1-b"}), (Names{"m1", "m11", "m1-b"}));
}

class FindModel : public testing::Test {
  protected:
    FindModel() { fs::create_directory(folder()); }
    fs::path folder() const { return temporary_.path() / "models"; }
    fs::path put(const std::string& name) const {
        std::ofstream(folder() / name) << "x";
        return folder() / name;
    }
    std::string error_of(const std::string& name, std::map<std::string, std::string> named = {}) const {
        const auto found = find_model(catalog::Catalog(std::move(named), folder().string(), {}), name);
        return found ? "found " + found->name : found.error().message;
    }
    TemporaryFolder temporary_;
};

TEST_F(FindModel, FindsWhatIsThere) {
    put("small.gguf");
    EXPECT_EQ(error_of("small"), "found small");
}

TEST_F(FindModel, NamesWhatIsNear) {
    put("small.gguf");
    put("other.gguf");
    EXPECT_EQ(error_of("smal"), "there is no model \"smal\"; did you mean small? `sutazai list` shows all models");
    EXPECT_EQ(error_of("gemma"), "there is no model \"gemma\"; the models here are other, small");
}

TEST_F(FindModel, SaysWhereItLookedForAFile) {
    put("small.gguf");
    const std::string here = fs::current_path().string();
    EXPECT_EQ(error_of("small.gguf"),
              "there is no file \"small.gguf\" in " + here + "; did you mean small? `sutazai list` shows all models");
    EXPECT_EQ(error_of("./x/gemma.gguf"),
              "there is no file \"./x/gemma.gguf\" in " + here + "; the models here are small");
    EXPECT_EQ(error_of("/no/such/gemma.gguf"), "there is no file \"/no/such/gemma.gguf\"; the models here are small");
}

TEST_F(FindModel, SaysWhatSomethingElseIs) {
    put("small.gguf");
    const fs::path text = temporary_.path() / "notes.txt";
    std::ofstream(text) << "x";
    EXPECT_TRUE(error_of(text.string()).starts_with("\"" + text.string() + "\" is no .gguf file; "));
    EXPECT_TRUE(error_of(folder().string()).starts_with("\"" + folder().string() + "\" is a folder, not a model; "));
    const std::string device = error_of("zero", {{"zero", "/dev/zero"}});
    EXPECT_TRUE(device.starts_with("the file of model \"zero\", /dev/zero, is no regular file; ")) << device;
    EXPECT_TRUE(error_of("/dev/zero").starts_with("\"/dev/zero\" is no regular file; "));
    EXPECT_EQ(error_of("gone", {{"gone", "/no/such/file.gguf"}}),
              "the file of model \"gone\", /no/such/file.gguf, is not there; the models here are small");
}

TEST_F(FindModel, WithoutAnyModelSaysHowToHaveOne) {
    EXPECT_EQ(error_of("small"), "there is no model \"small\"; there are no models either: put a GGUF file into " +
                                     folder().string() + " or name one with --model NAME=PATH");
}

TEST_F(FindModel, DoesNotNameThemAll) {
    for (int i = 10; i < 35; ++i) put("model-number-" + std::to_string(i) + ".gguf");
    const std::string error = error_of("x");
    EXPECT_NE(error.find("model-number-29 and 5 more, as `sutazai list` shows"), std::string::npos) << error;
}

}  // namespace
}  // namespace sutazai::cli
