#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

#include "config/settings.h"

/// `sutazai pull` and `sutazai push`.
namespace sutazai::cli {

/// Adds the commands. `action` is set when one of them was given; both outlive the parsing.
void add_pull_commands(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action);

/// May `sutazai run` pull it: is it a name, and of a host of PULL_HOSTS, or of one that it names itself?
[[nodiscard]] bool may_pull_missing(const config::Settings& settings, const std::string& model);
/// An exit code.
[[nodiscard]] int pull_missing(const config::Settings& settings, const std::string& model);

}  // namespace sutazai::cli
