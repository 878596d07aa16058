#include "cli/cache_command.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "cli/cache_text.h"
#include "cli/server_client.h"
#include "cli/setting_flags.h"
#include "cli/terminal.h"

namespace sutazai::cli {

namespace json = boost::json;

namespace {

using Flags = std::map<std::string, std::string>;

constexpr std::string_view kPath = "/api/v1/streaming/cache/manage";
constexpr std::chrono::milliseconds kPoll{100};

struct CacheFlags {
    std::string url, api_key;
    std::vector<std::string> models;
    bool json = false;
    bool force = false;
};

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

Result<ServerClient> connect(const CacheFlags& flags, const Flags& setting_flags) {
    const auto loaded = load_settings(setting_flags);
    if (!loaded) return std::unexpected(loaded.error());
    const config::Settings& settings = loaded->settings;
    auto url = flags.url.empty() ? server_url(settings) : Result<std::string>(flags.url);
    if (!url) return std::unexpected(url.error());
    std::string key = flags.api_key;
    if (key.empty() && !settings.admin_api_keys.empty()) key = settings.admin_api_keys.front();
    if (key.empty() && !settings.api_keys.empty()) key = settings.api_keys.front();
    return ServerClient(std::move(*url), std::move(key));
}

Result<json::value> parse(const Result<std::string>& body) {
    if (!body) return std::unexpected(body.error());
    boost::system::error_code error;
    json::value value = json::parse(*body, error);
    if (error) return fail(ErrorCode::kInternal, "what answers there is no SutazAI server");
    return value;
}

std::string command_json(std::string_view action, const CacheFlags& flags) {
    json::object command{{"action", action}};
    if (!flags.models.empty()) command["models"] = json::array(flags.models.begin(), flags.models.end());
    if (flags.force) command["force"] = true;
    return json::serialize(command);
}

/// Asks for the status meanwhile, to show how far the loads are.
Result<std::string> post_with_progress(const ServerClient& client, const std::string& body, const CacheFlags& flags) {
    auto answer = std::async(std::launch::async, [&] { return client.post(kPath, body); });
    ProgressLine line(stderr);
    while (answer.wait_for(kPoll) != std::future_status::ready) {
        if (!line.is_terminal()) continue;
        const auto status = parse(client.post(kPath, R"({"action": "status"})"));
        if (!status) continue;
        const WarmUpProgress progress = warm_up_progress(*status, flags.models);
        line.show(progress.what, progress.share);
    }
    line.clear();
    return answer.get();
}

int show_status(const CacheFlags& flags, const Flags& setting_flags, bool only_warm) {
    const auto client = connect(flags, setting_flags);
    if (!client) return report(client.error());
    auto body = client->post(kPath, R"({"action": "status"})");
    if (!body) return report(body.error());
    if (flags.json) {
        fmt::print("{}\n", *body);
        return 0;
    }
    const auto status = parse(body);
    if (!status) return report(status.error());
    const auto now = std::chrono::system_clock::now();
    fmt::print("{}", only_warm ? ps_table(*status, now) : cache_table(*status, now));
    return 0;
}

int act(std::string_view action, const CacheFlags& flags, const Flags& setting_flags) {
    const auto client = connect(flags, setting_flags);
    if (!client) return report(client.error());
    auto body = post_with_progress(*client, command_json(action, flags), flags);
    if (!body) return report(body.error());
    const auto answer = parse(*body);
    if (!answer) return report(answer.error());
    if (flags.json) {
        fmt::print("{}\n", *body);
    } else {
        const std::string lines = outcome_lines(*answer);
        const char* nothing = action == "warmup" ? "there is no model to warm up\n" : "no model is warm\n";
        fmt::print("{}", lines.empty() ? nothing : lines);
    }
    const json::value* success = answer->is_object() ? answer->get_object().if_contains("success") : nullptr;
    return success != nullptr && success->is_bool() && success->get_bool() ? 0 : 1;
}

/// As Ollama's clients do it: running requests end first.
int stop_models(const CacheFlags& flags, const Flags& setting_flags) {
    const auto client = connect(flags, setting_flags);
    if (!client) return report(client.error());
    int code = 0;
    for (const std::string& model : flags.models) {
        const auto answer =
            client->post("/api/generate", json::serialize(json::object{{"model", model}, {"keep_alive", 0}}));
        if (!answer) {
            code = report(answer.error());
        } else if (flags.json) {
            fmt::print("{}\n", *answer);
        }
    }
    return code;
}

std::shared_ptr<CacheFlags> add_flags(CLI::App& app, Flags& setting_flags) {
    const auto flags = std::make_shared<CacheFlags>();
    app.add_option("--url", flags->url, "The server, http://host:port; without it HOST and PORT say where")
        ->type_name("URL");
    app.add_option("--api-key", flags->api_key,
                   "Key to show; without it the first one of ADMIN_API_KEYS, else of API_KEYS")
        ->type_name("KEY");
    app.add_flag("--json", flags->json, "Print the server's answer as it is");
    add_setting_flags(app, setting_flags);
    return flags;
}

struct ActionRow {
    const char* name;
    const char* help;
    bool needs_models;
};

constexpr ActionRow kActions[] = {
    {"warmup", "Load models; without names those that a start would warm", false},
    {"save", "Write the kept prefixes of warm models to disk", false},
    {"load", "Read kept prefixes back from disk, loading the models first", false},
    {"evict", "End the engines of models, so that their memory comes back", true},
    {"pin", "Keep models warm whatever else is asked for, until they are unpinned; kept over restarts", true},
    {"unpin", "Let pinned models make room again", true},
    {"prune", "Remove what is too old from disk", false},
};

}  // namespace

void add_cache_commands(CLI::App& parent, Flags& setting_flags, std::function<int()>& action) {
    CLI::App* ps = parent.add_subcommand("ps", "List the warm models of the running server");
    const auto ps_flags = add_flags(*ps, setting_flags);
    ps->callback([&, ps_flags] { action = [&, ps_flags] { return show_status(*ps_flags, setting_flags, true); }; });

    CLI::App* stop = parent.add_subcommand("stop", "Unload a model of the running server");
    const auto stop_flags = add_flags(*stop, setting_flags);
    stop->add_option("MODEL", stop_flags->models, "Names of models")->required()->type_name("");
    stop->callback([&, stop_flags] { action = [&, stop_flags] { return stop_models(*stop_flags, setting_flags); }; });

    CLI::App* cache = parent.add_subcommand("cache", "See and manage what the running server keeps warm");
    cache->require_subcommand(1);
    CLI::App* status = cache->add_subcommand("status", "Show the cache and every model");
    const auto status_flags = add_flags(*status, setting_flags);
    status->callback(
        [&, status_flags] { action = [&, status_flags] { return show_status(*status_flags, setting_flags, false); }; });

    for (const ActionRow& row : kActions) {
        CLI::App* app = cache->add_subcommand(row.name, row.help);
        const auto flags = add_flags(*app, setting_flags);
        CLI::Option* models = app->add_option("MODEL", flags->models, "Names of models")->type_name("");
        if (row.needs_models) models->required();
        if (std::string_view(row.name) == "evict") {
            app->add_flag("--force", flags->force,
                          "Busy models: refuse them new requests and wait for the running ones");
        }
        app->callback(
            [&, flags, name = row.name] { action = [&, flags, name] { return act(name, *flags, setting_flags); }; });
    }
}

}  // namespace sutazai::cli
