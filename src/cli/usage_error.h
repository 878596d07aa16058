#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace sutazai::cli {

/// What is wrong with a command line that `app` threw `error` for, and where to read on: lines for standard error. A
/// setting's flag that stands in front of the command is told where it belongs.
[[nodiscard]] std::string usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace sutazai::cli
