#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/command_line.h"
#include "serve.h"

int main(int argc, char** argv) {
    // A reader that went away is an error of the write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    // So is a file that must not grow any more.
    std::signal(SIGXFSZ, SIG_IGN);
    try {
        return sutazai::cli::run_command_line(argc, argv, {.serve = sutazai::app::serve});
    } catch (const std::exception& error) {
        fmt::print(stderr, "sutazai: {}\n", error.what());
        return 1;
    }
}
