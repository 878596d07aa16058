#include "cli/usage_error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace sutazai::cli {
namespace {

/// What was understood of the command line: "sutazai cache status".
struct Chosen {
    const CLI::App* command;
    std::string words;
};

Chosen chosen(const CLI::App& app) {
    Chosen out{&app, app.get_name()};
    for (auto next = app.get_subcommands(); !next.empty(); next = out.command->get_subcommands()) {
        out.command = next.front();
        out.words += ' ' + out.command->get_name();
    }
    return out;
}

bool is_setting(const std::string& flag) {
    static const std::vector<config::SettingInfo> kSettings = config::describe();
    return std::ranges::find(kSettings, flag, &config::SettingInfo::flag) != kSettings.end();
}

/// The setting among words that were not understood, when a command could have taken it.
std::string misplaced_setting(const CLI::App& app, const Chosen& chosen, const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        const std::string flag = word.substr(0, word.find('='));
        if (!is_setting(flag)) continue;
        // A command that knows it would have taken it, had it come later.
        const bool known = chosen.command->get_option_no_throw(flag) != nullptr;
        if (!known && chosen.command != &app) continue;
        return fmt::format("settings stand behind the command: `{} {} ...`", known ? chosen.words : "sutazai serve",
                           flag);
    }
    return {};
}

std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& error, const Chosen& chosen) {
    const std::vector<std::string> words = app.remaining(true);
    if (std::string hint = misplaced_setting(app, chosen, words); !hint.empty()) return hint;
    const std::string what = error.what();
    const bool lacks_command = what == "A subcommand is required";
    if (!words.empty() && (lacks_command || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr)) {
        return fmt::format("`{}` does not take: {}", chosen.words, fmt::join(words, " "));
    }
    if (lacks_command) return fmt::format("a command is missing behind `{}`", chosen.words);
    // "--port: 1 required N missing"
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && what.ends_with(" missing")) {
        return what.substr(0, what.find(':')) + " needs a value";
    }
    return what;
}

}  // namespace

std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
    const Chosen command = chosen(app);
    return fmt::format("sutazai: {}\nRun `{} --help` for more information.\n", what_is_wrong(app, error, command),
                       command.words);
}

}  // namespace sutazai::cli
