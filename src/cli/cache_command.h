#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

/// `sutazai ps` and `sutazai cache ...`: they speak to the running server.
namespace sutazai::cli {

/// Adds both commands. `flags` gets the settings given, `action` what is to be done; both outlive the parsing.
void add_cache_commands(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action);

}  // namespace sutazai::cli
