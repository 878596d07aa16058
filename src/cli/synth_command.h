#pragma once

#include <CLI/CLI.hpp>
#include <functional>

/// `sutazai model synth`: models of random weights for tests and benchmarks.
namespace sutazai::cli {

/// Adds the command to `parent`; when it was given, `action` becomes what to do (which returns the exit code).
void add_synth_command(CLI::App& parent, std::function<int()>& action);

}  // namespace sutazai::cli
