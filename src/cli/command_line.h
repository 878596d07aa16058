#pragma once

#include <filesystem>
#include <functional>

#include "config/settings.h"

/// The command line of `sutazai`.
namespace sutazai::cli {

/// What this module does not know how to do.
struct Hooks {
    /// Runs the server until it is told to end; returns the exit code.
    std::function<int(const config::Loaded& loaded, const std::filesystem::path& executable)> serve;
};

/// Does what `argv` says and returns the exit code: 0, 1 when something went wrong, 2 for a command line that is not
/// understood. Errors go to standard error. An engine process shows its model in `argv`.
[[nodiscard]] int run_command_line(int argc, char** argv, const Hooks& hooks);

}  // namespace sutazai::cli
