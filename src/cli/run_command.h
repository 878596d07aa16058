#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

/// `sutazai run MODEL [PROMPT]`: one answer, or a conversation, in this terminal, with a model of this process's own.
namespace sutazai::cli {

/// Adds the command to `parent`; when it was given, `action` becomes what to do (which returns the exit code: 0, 1
/// after an error, 130 and 143 when SIGINT and SIGTERM ended it). The values of setting flags land in `flags`; both
/// outlive the parsing.
void add_run_command(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action);

}  // namespace sutazai::cli
