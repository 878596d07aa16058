#include "cli/setting_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cli/dot_env_file.h"
#include "llama/chat_template.h"

namespace sutazai::cli {
namespace {

std::map<std::string, std::string> read_environment() {
    std::map<std::string, std::string> values;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const auto equals = text.find('=');
        if (equals != std::string_view::npos) values.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return values;
}

/// Config does not know llama.cpp, which does not say before a model is loaded.
Result<void> check_chat_template(const config::Loaded& loaded) {
    const std::string& name = loaded.settings.chat_template;
    const std::vector<std::string> names = llama::built_in_template_names();
    if (name.empty() || std::ranges::find(names, name) != names.end()) return {};
    const auto row = std::ranges::find(loaded.rows, "CHAT_TEMPLATE", &config::SettingInfo::name);
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} ({}): \"{}\" is not allowed; it must be one of {}", row->name, to_string(row->source),
                            name, fmt::join(names, ", ")),
                row->name);
}

}  // namespace

void add_setting_flags(CLI::App& app, std::map<std::string, std::string>& flags) {
    for (const auto& setting : config::describe()) {
        std::string help = fmt::format("{} [{}]", setting.description, setting.name);
        if (!setting.value.empty()) help += fmt::format(", default {}", setting.value);
        CLI::Option* option = nullptr;
        if (setting.name == "MODELS") {
            option = app.add_option_function<std::vector<std::string>>(
                setting.flag,
                [&flags, name = setting.name](const std::vector<std::string>& values) {
                    flags[name] = fmt::format("{}", fmt::join(values, ","));
                },
                help);
            // One value each time, or the words after it would be taken for models too.
            option->allow_extra_args(false)->type_name("NAME=PATH");
        } else {
            option = app.add_option_function<std::string>(
                setting.flag, [&flags, name = setting.name](const std::string& value) { flags[name] = value; }, help);
            option->take_last()->type_name("");
        }
        option->group("Settings");
    }
}

Result<config::Loaded> load_settings(const std::map<std::string, std::string>& flags) {
    auto dot_env = read_dot_env(".env");
    if (!dot_env) return std::unexpected(dot_env.error());
    auto loaded = config::load({flags, read_environment(), std::move(*dot_env)});
    if (!loaded) return loaded;
    if (auto known = check_chat_template(*loaded); !known) return std::unexpected(std::move(known.error()));
    return loaded;
}

void start_logging(const config::Settings& settings, const std::string& process, log::Writing writing) {
    const bool json = settings.log_format == config::LogFormat::kJson;
    log::init(settings.log_level, json, process, writing);
    setenv("LOG_LEVEL", settings.log_level.c_str(), 1);
    setenv("LOG_FORMAT", json ? "json" : "text", 1);
}

void start_engine_logging(const std::string& model) {
    const char* level = std::getenv("LOG_LEVEL");
    const char* format = std::getenv("LOG_FORMAT");
    log::init(level == nullptr ? "info" : level, format != nullptr && std::string_view(format) == "json",
              model.empty() ? "engine" : "engine:" + model);
}

}  // namespace sutazai::cli
