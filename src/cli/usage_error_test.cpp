#include "cli/usage_error.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "cli/cache_command.h"
#include "cli/run_command.h"
#include "cli/setting_flags.h"
#include "cli/synth_command.h"

namespace sutazai::cli {
namespace {

using Words = std::vector<std::string>;

class UsageError : public testing::Test {
  protected:
    UsageError() {
        app_.require_subcommand(1);
        add_setting_flags(*app_.add_subcommand("serve", ""), flags_);
        app_.add_subcommand("version", "");
        add_run_command(app_, flags_, action_);
        add_cache_commands(app_, flags_, action_);
        CLI::App* model = app_.add_subcommand("model", "");
        model->require_subcommand(1);
        add_synth_command(*model, action_);
    }
    /// The first line, without the program's name.
    std::string error_of(Words words) {
        try {
            app_.parse(Words(words.rbegin(), words.rend()));
        } catch (const CLI::ParseError& error) {
            const std::string text = usage_error(app_, error);
            EXPECT_TRUE(text.starts_with("sutazai: ")) << text;
            EXPECT_TRUE(text.ends_with(" --help` for more information.\n")) << text;
            return text.substr(9, text.find('\n') - 9);
        }
        return "none";
    }
    CLI::App app_{"", "sutazai"};
    std::map<std::string, std::string> flags_;
    std::function<int()> action_;
};

TEST_F(UsageError, EveryFlagOfEveryCommandThatLacksItsValueIsNamed) {
    std::vector<std::pair<Words, const CLI::App*>> commands;
    const auto collect = [&](const auto& self, const Words& path, const CLI::App& app) -> void {
        for (const CLI::App* command : app.get_subcommands(nullptr)) {
            Words words = path;
            words.push_back(command->get_name());
            commands.emplace_back(words, command);
            self(self, words, *command);
        }
    };
    collect(collect, {}, app_);
    int n_flags = 0;
    for (const auto& [words, command] : commands) {
        for (const CLI::Option* option : command->get_options()) {
            if (option->get_positional() || option->get_items_expected_min() == 0) continue;
            ++n_flags;
            const std::string flag = option->get_name();
            Words line = words;
            line.push_back(flag);
            EXPECT_EQ(error_of(line), flag + " needs a value") << words.back();
        }
    }
    EXPECT_GT(n_flags, 200);
}

TEST_F(UsageError, ASettingInFrontOfTheCommandIsToldWhereItBelongs) {
    EXPECT_EQ(error_of({"--port", "1", "serve"}), "settings stand behind the command: `sutazai serve --port ...`");
    EXPECT_EQ(error_of({"--port=1", "serve"}), "settings stand behind the command: `sutazai serve --port ...`");
    EXPECT_EQ(error_of({"--model", "a=b", "cache", "status"}),
              "settings stand behind the command: `sutazai cache status --model ...`");
    EXPECT_EQ(error_of({"cache", "--port", "1", "status"}),
              "settings stand behind the command: `sutazai cache status --port ...`");
    EXPECT_EQ(error_of({"--port", "1"}), "settings stand behind the command: `sutazai serve --port ...`");
    EXPECT_EQ(error_of({"version", "--port", "1"}), "`sutazai version` does not take: --port 1");
}

TEST_F(UsageError, WhatIsNotUnderstoodIsShownAsItWasGiven) {
    EXPECT_EQ(error_of({"serve", "--prot", "1"}), "`sutazai serve` does not take: --prot 1");
    EXPECT_EQ(error_of({"serve", "some", "words"}), "`sutazai serve` does not take: some words");
    EXPECT_EQ(error_of({"--nonsense", "serve"}), "`sutazai serve` does not take: --nonsense");
    EXPECT_EQ(error_of({"nonsense"}), "`sutazai` does not take: nonsense");
    EXPECT_EQ(error_of({}), "a command is missing behind `sutazai`");
    EXPECT_EQ(error_of({"model"}), "a command is missing behind `sutazai model`");
    EXPECT_EQ(error_of({"run"}), "MODEL is required");
    EXPECT_EQ(error_of({"run", "m", "--temperature", "9"}), "--temperature: Value 9 not in range 0.000000 to 2.000000");
}

}  // namespace
}  // namespace sutazai::cli
