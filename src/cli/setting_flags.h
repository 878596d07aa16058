#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "base/log.h"
#include "config/settings.h"

/// Settings on the command line, and where the other ones come from.
namespace sutazai::cli {

/// Adds one option for each setting; of one that is repeated the last value counts, but --model adds up. The values
/// given land in `flags`, which outlives the parsing.
void add_setting_flags(CLI::App& app, std::map<std::string, std::string>& flags);

/// The settings from `flags`, this process's environment and the file .env of the working directory, if there is one.
[[nodiscard]] Result<config::Loaded> load_settings(const std::map<std::string, std::string>& flags);

/// Starts logging as `settings` say, here and, through the environment, in the engine processes that this one starts.
/// Call once, before threads start.
void start_logging(const config::Settings& settings, const std::string& process,
                   log::Writing writing = log::Writing::kAtOnce);

/// The same in an engine process. `model` may be empty.
void start_engine_logging(const std::string& model);

}  // namespace sutazai::cli
