#include "cli/list_command.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temporary_folder.h"
#include "synth/synth.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

TEST(ListCommand, RoundsForReaders) {
    EXPECT_EQ(human_count(999), "999");
    EXPECT_EQ(human_count(494032768), "494M");
    EXPECT_EQ(human_count(7'600'000'000), "7.6B");
}

TEST(ListCommand, SaysWhatEachModelIs) {
    const TemporaryFolder temporary;
    const std::string folder = temporary.path().string();
    auto options = synth::synth_preset("toy");
    ASSERT_TRUE(options);
    options->output = fs::path(folder) / "toy.gguf";
    ASSERT_TRUE(synth::synthesize(*options));
    std::ofstream(fs::path(folder) / "broken.gguf") << "hello";

    const catalog::Catalog catalog({}, folder, {}, "toy");
    const std::string table = model_table(catalog);
    EXPECT_TRUE(table.starts_with("broken ")) << table;
    EXPECT_NE(table.find("5 B  not usable: the file is no GGUF file"), std::string::npos) << table;
    EXPECT_NE(table.find("\ntoy *  "), std::string::npos) << table;
    EXPECT_NE(table.find("llama "), std::string::npos) << table;
    EXPECT_NE(table.find("Q8_0, 8192 tokens\n"), std::string::npos) << table;
}

}  // namespace
}  // namespace sutazai::cli
