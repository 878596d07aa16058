#include "cli/model_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temporary_folder.h"
#include "catalog/gguf_file.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

class ModelFiles : public testing::Test {
  protected:
    ModelFiles() {
        settings_.home = (folder_ / "home").string();
        settings_.models_dir = (folder_ / "home/models").string();
    }

    std::string put(const fs::path& path) {
        fs::create_directories((folder_ / path).parent_path());
        std::ofstream(folder_ / path) << "x";
        return (folder_ / path).string();
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
    config::Settings settings_;
};

TEST_F(ModelFiles, FindsTheDemoBesideTheBinary) {
    const fs::path binary = folder_ / "bin/sutazai";
    EXPECT_TRUE(bundled_models(settings_, binary).empty());
    const std::string installed = put("share/sutazai/models/sutazai-demo.gguf");
    EXPECT_EQ(bundled_models(settings_, binary), (std::map<std::string, std::string>{{kDemoModel, installed}}));
    const std::string built = put("bin/models/sutazai-demo.gguf");
    EXPECT_EQ(bundled_models(settings_, binary), (std::map<std::string, std::string>{{kDemoModel, built}}));
}

TEST_F(ModelFiles, MakesTheToyOnce) {
    const fs::path binary = folder_ / "bin/sutazai";
    const auto made = make_toy_model(settings_);
    ASSERT_TRUE(made) << made.error().message;
    const auto catalog = open_catalog(settings_, binary);
    ASSERT_TRUE(catalog);
    EXPECT_EQ(catalog->default_model(), kToyModel);
    const auto file = catalog->find(kToyModel);
    ASSERT_TRUE(file);
    const auto summary = catalog::read_gguf_summary(file->path);
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_TRUE(summary->has_chat_template);

    fs::last_write_time(file->path, fs::file_time_type::clock::now() - std::chrono::hours(1));
    const auto before = fs::last_write_time(file->path);
    ASSERT_TRUE(make_toy_model(settings_));
    EXPECT_EQ(fs::last_write_time(file->path), before);
}

TEST_F(ModelFiles, AFolderThatCannotBeMadeIsAnError) {
    settings_.home = put("file") + "/home";
    const auto made = make_toy_model(settings_);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().field, "SUTAZAI_HOME");
}

TEST_F(ModelFiles, TheFirstNamedModelIsTheDefault) {
    settings_.models = {{"a", put("a.gguf")}, {"z", put("z.gguf")}};
    settings_.model_order = {"z", "a"};
    const auto catalog = open_catalog(settings_, folder_ / "bin/sutazai");
    ASSERT_TRUE(catalog);
    EXPECT_EQ(catalog->default_model(), "z");
}

TEST_F(ModelFiles, NamesThatNoClientCouldAskForAreRefused) {
    settings_.models = {{"../a", put("a.gguf")}};
    settings_.model_order = {"../a"};
    const auto catalog = open_catalog(settings_, folder_ / "bin/sutazai");
    ASSERT_FALSE(catalog);
    EXPECT_EQ(catalog.error().field, "MODELS");
    EXPECT_NE(catalog.error().message.find("../a"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::cli
