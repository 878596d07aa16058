#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

namespace sutazai::cli {

/// The commands that make, show and remove models by name: create, cp, rm and show. They work on the disk itself; a
/// server that runs sees what has changed.
void add_store_commands(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action);

/// Quantises one file and tells of it over the socket that it is given (store/quantise.h). Started by this program, not
/// by people: in no list of commands.
void add_quantise_worker(CLI::App& parent, std::function<int()>& action);

}  // namespace sutazai::cli
