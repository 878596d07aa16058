#include "cli/pull_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/model_parts.h"
#include "cli/model_files.h"
#include "cli/setting_flags.h"
#include "cli/work_view.h"
#include "fetch/options.h"
#include "fetch/places.h"
#include "fetch/pull.h"
#include "fetch/source.h"
#include "ipc/process.h"
#include "store/create.h"

namespace sutazai::cli {
namespace {

constexpr const char* kPullStopped =
    "interrupted; what was downloaded is kept for a week, and the next pull goes on from there";
constexpr const char* kPushStopped = "interrupted; the registry has what was pushed whole";

using Flags = std::map<std::string, std::string>;
using Transfer = Result<void> (*)(const fetch::Options&, const fetch::Request&, const std::stop_token&,
                                  const ProgressSink&);

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

int carry_out(Transfer transfer, const config::Settings& settings, const fetch::Request& request,
              const char* when_stopped) {
    const auto options = fetch::make_options(settings, fetch::network_environment());
    if (!options) return report(options.error());
    return run_stoppable(
        [&](const std::stop_token& stop) {
            WorkView view(stderr);
            auto done = transfer(*options, request, stop, [&](const WorkProgress& progress) { view.show(progress); });
            if (done) view.show({"success"});
            return done;
        },
        when_stopped);
}

int run_command(Transfer transfer, const Flags& flags, const fetch::Request& request, const char* when_stopped) {
    auto loaded = load_settings(flags);
    if (!loaded) return report(loaded.error());
    // What is tried again shows in the bar; log lines would tear it.
    const auto level = std::ranges::find(loaded->rows, "LOG_LEVEL", &config::SettingInfo::name);
    if (level->source == config::Source::kDefault) loaded->settings.log_level = "error";
    start_logging(loaded->settings, "pull");
    if (transfer == fetch::pull) {
        const auto source = fetch::parse_source(request.model, request.as);
        if (!source) return report(source.error());
        const auto catalog = open_catalog(loaded->settings, executable_path());
        if (!catalog) return report(catalog.error());
        if (auto free = store::check_name_is_free(*catalog, source->name, "MODEL"); !free) return report(free.error());
    }
    return carry_out(transfer, loaded->settings, request, when_stopped);
}

CLI::App* add_command(CLI::App& parent, const char* name, const char* help, Transfer transfer, const char* when_stopped,
                      Flags& flags, std::function<int()>& action, const std::shared_ptr<fetch::Request>& request) {
    CLI::App* app = parent.add_subcommand(name, help);
    request->typed = true;
    app->add_option("MODEL", request->model, "model[:tag], host/namespace/model[:tag]")->required()->type_name("");
    app->add_flag("--insecure", request->insecure, "Plain http, and a private address, for the host that MODEL names");
    add_setting_flags(*app, flags);
    app->callback([&flags, &action, transfer, when_stopped, request] {
        action = [&flags, transfer, when_stopped, request] {
            return run_command(transfer, flags, *request, when_stopped);
        };
    });
    return app;
}

/// Who names a host wants to go there.
bool names_host(const std::string& model) {
    return std::ranges::count(model, '/') >= 2;
}

}  // namespace

void add_pull_commands(CLI::App& parent, Flags& flags, std::function<int()>& action) {
    const auto pull = std::make_shared<fetch::Request>();
    CLI::App* app =
        add_command(parent, "pull", "Download a model into the store", fetch::pull, kPullStopped, flags, action, pull);
    app->get_option("MODEL")->description(
        "model[:tag], host/namespace/model[:tag], hf.co/org/repo[:quantisation], or the URL of a .gguf file");
    app->add_option("--as", pull->as, "The name that a file from a URL gets; without: the file's own")
        ->type_name("NAME");
    const auto push = std::make_shared<fetch::Request>();
    add_command(parent, "push", "Upload a model of the store to the registry that its name begins with", fetch::push,
                kPushStopped, flags, action, push);
}

bool may_pull_missing(const config::Settings& settings, const std::string& model) {
    const auto source = fetch::parse_source(model);
    const auto options = fetch::make_options(settings, {});
    if (!source || !options || is_gguf_extension(std::filesystem::path(model).extension().string())) return false;
    const auto place = fetch::place_of(options->access, *source, fetch::Direction::kPull);
    return place && (names_host(model) || options->access.check_start(*place));
}

int pull_missing(const config::Settings& settings, const std::string& model) {
    return carry_out(fetch::pull, settings, {.model = model, .typed = names_host(model)}, kPullStopped);
}

}  // namespace sutazai::cli
