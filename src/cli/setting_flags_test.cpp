#include "cli/setting_flags.h"

#include <gtest/gtest.h>

namespace sutazai::cli {
namespace {

struct Line {
    CLI::App app{"test"};
    std::map<std::string, std::string> flags;
    std::string first;
    std::vector<std::string> rest;

    Line() {
        app.add_option("first", first);
        app.add_option("rest", rest);
        add_setting_flags(app, flags);
    }
    /// CLI11 takes the words last first.
    void parse(std::vector<std::string> words) { app.parse(std::vector<std::string>(words.rbegin(), words.rend())); }
};

TEST(SettingFlags, EverySettingHasOne) {
    for (const auto& setting : config::describe()) {
        Line line;
        line.parse({setting.flag, "some=value"});
        EXPECT_EQ(line.flags, (std::map<std::string, std::string>{{setting.name, "some=value"}}));
    }
}

TEST(SettingFlags, ModelMayBeRepeatedAndTakesOneWordEachTime) {
    Line line;
    line.parse({"--model", "a=/a.gguf", "a", "--model", "b=/b.gguf", "some", "--batch-size=4", "words"});
    EXPECT_EQ(line.flags, (std::map<std::string, std::string>{{"MODELS", "a=/a.gguf,b=/b.gguf"}, {"BATCH_SIZE", "4"}}));
    EXPECT_EQ(line.first, "a");
    EXPECT_EQ(line.rest, (std::vector<std::string>{"some", "words"}));
}

TEST(SettingFlags, TheLastOfOthersCounts) {
    Line line;
    line.parse({"--port", "1", "--port", "2"});
    EXPECT_EQ(line.flags, (std::map<std::string, std::string>{{"PORT", "2"}}));
}

TEST(LoadSettings, AChatTemplateIsOneThatLlamaCppHas) {
    EXPECT_EQ(load_settings({{"CHAT_TEMPLATE", "chatml"}})->settings.chat_template, "chatml");
    const auto wrong = load_settings({{"CHAT_TEMPLATE", "chatlm"}});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().field, "CHAT_TEMPLATE");
    EXPECT_TRUE(
        wrong.error().message.starts_with(R"(CHAT_TEMPLATE (flag): "chatlm" is not allowed; it must be one of )"))
        << wrong.error().message;
    EXPECT_NE(wrong.error().message.find(" llama3,"), std::string::npos) << wrong.error().message;
}

TEST(SettingFlags, UnknownOnesAreErrors) {
    Line line;
    EXPECT_THROW(line.parse({"--prot", "1"}), CLI::ParseError);
}

}  // namespace
}  // namespace sutazai::cli
