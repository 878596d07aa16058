#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "base/visible_text.h"
#include "cli/cache_command.h"
#include "cli/cache_files_command.h"
#include "cli/config_command.h"
#include "cli/list_command.h"
#include "cli/model_files.h"
#include "cli/pull_command.h"
#include "cli/run_command.h"
#include "cli/setting_flags.h"
#include "cli/setting_notes.h"
#include "cli/store_command.h"
#include "cli/synth_command.h"
#include "cli/usage_error.h"
#include "ipc/engine_host.h"
#include "ipc/process_title.h"

namespace sutazai::cli {
namespace {

using Flags = std::map<std::string, std::string>;
using Action = std::function<int()>;

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

int serve(const Flags& flags, const Hooks& hooks) {
    const auto loaded = load_settings(flags);
    if (!loaded) return report(loaded.error());
    return hooks.serve(*loaded, executable_path());
}

/// Beside what a command prints: the command goes on.
void tell_problem(const std::string& problem) {
    if (!problem.empty()) fmt::print(stderr, "sutazai: {}\n", problem);
}

int config(const Flags& flags, bool json) {
    const auto loaded = load_settings(flags);
    if (!loaded) return report(loaded.error());
    fmt::print("{}", json ? config_json(loaded->rows) : config_table(loaded->rows));
    tell_problem(models_dir_problem(*loaded));
    for (const std::string& note : setting_notes(*loaded, std::thread::hardware_concurrency())) tell_problem(note);
    return 0;
}

int list(const Flags& flags) {
    const auto loaded = load_settings(flags);
    if (!loaded) return report(loaded.error());
    auto catalog = open_catalog(loaded->settings, executable_path());
    if (!catalog) return report(catalog.error());
    add_remote_models(*catalog, loaded->settings);
    const std::string problem = models_dir_problem(*loaded);
    tell_problem(problem);
    const std::string table = model_table(*catalog);
    if (table.empty() && problem.empty()) {
        fmt::print(stderr, "There are no models: put a GGUF file into {} or name one with --model NAME=PATH.\n",
                   loaded->settings.models_dir);
    }
    fmt::print("{}", table);
    for (const std::string& note : catalog->notes()) fmt::print(stderr, "{}\n", visible(note));
    return 0;
}

std::string version() {
    return fmt::format("sutazai {}\nllama.cpp {}\nbuild {}", SUTAZAI_VERSION, SUTAZAI_LLAMA_VERSION, SUTAZAI_BUILD);
}

/// The commands that take settings and nothing else.
CLI::App* add_command(CLI::App& app, const char* name, const char* help, Flags& flags, Action& action, Action then) {
    CLI::App* command = app.add_subcommand(name, help);
    add_setting_flags(*command, flags);
    command->callback([&action, then = std::move(then)] { action = then; });
    return command;
}

}  // namespace

int run_command_line(int argc, char** argv, const Hooks& hooks) {
    CLI::App app("SutazAI: several language models, warm on one machine, streaming from all of them at once",
                 "sutazai");
    app.require_subcommand(1);
    Flags flags;
    Action action;

    add_command(app, "serve", "Serve models over HTTP until SIGTERM or ctrl-C", flags, action,
                [&] { return serve(flags, hooks); });
    add_run_command(app, flags, action);
    add_command(app, "list", "List the models", flags, action, [&] { return list(flags); })->alias("ls");

    add_pull_commands(app, flags, action);
    add_store_commands(app, flags, action);

    add_cache_commands(app, flags, action);
    add_cache_file_commands(app, flags, action);

    bool json = false;
    CLI::App* config_app = add_command(app, "config", "Print each setting, its effective value and where it came from",
                                       flags, action, [&] { return config(flags, json); });
    config_app->add_flag("--json", json, "Print JSON");

    CLI::App* model_app = app.add_subcommand("model", "Make model files");
    model_app->require_subcommand(1);
    add_synth_command(*model_app, action);

    app.add_subcommand("version", "Print the version")->callback([&] {
        action = [] {
            fmt::print("{}\n", version());
            return 0;
        };
    });
    app.set_version_flag("--version", version, "Print the version");

    // Started by the server, not by people: in no list of commands.
    add_quantise_worker(app, action);
    CLI::App* engine_app = app.add_subcommand("engine", "Serve one model over a socket")->group("");
    int fd = -1;
    std::string engine_name;
    engine_app->add_option("--fd", fd, "The socket")->required();
    engine_app->add_option("--name", engine_name, "The model's name, for who looks at the list of processes");
    std::string room;
    engine_app->add_option("--standby", room, "Started before it is known for which model: room for --name NAME");
    engine_app->callback([&] {
        action = [&] {
            const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
            const auto standby = std::ranges::find(words, std::string_view("--standby"));
            ipc::ProcessTitle title(words.subspan(static_cast<std::size_t>(standby - words.begin())));
            title.show({"--standby"});
            start_engine_logging(engine_name);
            return engine_host::run(fd, [&](const std::string& model) {
                title.show({"--name", model});
                start_engine_logging(model);
            });
        };
    });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        fmt::print(stderr, "{}", usage_error(app, error));
        return 2;
    }
    return action();
}

}  // namespace sutazai::cli
