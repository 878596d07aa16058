#include "cli/run_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/generation.h"
#include "base/model_parts.h"
#include "catalog/model_names.h"
#include "cli/chat_session.h"
#include "cli/find_model.h"
#include "cli/model_files.h"
#include "cli/pull_command.h"
#include "cli/setting_flags.h"
#include "cli/show_text.h"
#include "config/settings.h"
#include "models/model_manager.h"
#include "serve/model_pages.h"

namespace sutazai::cli {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

constexpr std::chrono::seconds kEngineExit{2};

struct RunFlags {
    std::string model;
    std::vector<std::string> prompt;
    std::string system;
    GenerationRequest request;
};

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

/// CLI11 would repeat the range in each help line.
template <typename T>
CLI::Validator in_range(T least, T most) {
    return CLI::Range(least, most).description("");
}

/// The prompt from the command line or from a standard input that is no terminal; nullopt for a conversation.
std::optional<std::string> read_prompt(const RunFlags& flags) {
    if (!flags.prompt.empty()) return fmt::format("{}", fmt::join(flags.prompt, " "));
    if (isatty(STDIN_FILENO) == 1) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>(std::cin), {}};
}

/// MODEL may be the path of a GGUF file; it is then a named model of these settings, and its name is returned.
std::string take_model_path(const std::string& model, config::Settings& settings) {
    std::error_code ignored;
    const fs::path path(model);
    if (!is_gguf_extension(path.extension().string()) || !fs::is_regular_file(path, ignored)) return model;
    const auto named = catalog::name_files({path.filename().string()});
    std::string name = named.empty() ? "model" : named.front().name;
    // Any part of a split model stands for it.
    settings.models[name] = named.empty() ? model : (path.parent_path() / named.front().file).string();
    return name;
}

/// Nobody knows of it: it may be pulled. A model whose file is gone is another matter.
bool is_absent(const catalog::Catalog& catalog, const std::string& model, const Error& error) {
    return error.code == ErrorCode::kNotFound &&
           std::ranges::none_of(catalog.list(), [&](const catalog::ModelFile& file) { return file.name == model; });
}

ShowWhat show_what(std::string_view word) {
    if (word == "modelfile") return ShowWhat::kModelfile;
    if (word == "parameters") return ShowWhat::kParameters;
    if (word == "template") return ShowWhat::kTemplate;
    if (word == "system") return ShowWhat::kSystem;
    return word == "license" ? ShowWhat::kLicense : ShowWhat::kAll;
}

asio::awaitable<ChatSession::Ending> talk(ChatSession& session, models::AdvancedModelManager& manager,
                                          std::optional<std::string> prompt) {
    auto ending = co_await session.load();
    if (ending == ChatSession::Ending::kFinished) {
        ending = prompt ? co_await session.ask(std::move(*prompt)) : co_await session.converse();
    }
    co_await manager.drain(kEngineExit);
    co_return ending;
}

int run_model(const RunFlags& flags, const std::map<std::string, std::string>& setting_flags) {
    auto loaded = load_settings(setting_flags);
    if (!loaded) return report(loaded.error());
    config::Settings& settings = loaded->settings;
    // Log lines are in the way of a conversation, unless they were asked for; errors are told without them.
    const auto level = std::ranges::find(loaded->rows, "LOG_LEVEL", &config::SettingInfo::name);
    if (level->source == config::Source::kDefault) settings.log_level = "critical";
    start_logging(settings, "run");

    std::string model = take_model_path(flags.model, settings);
    if (model == kToyModel) {
        if (const auto made = make_toy_model(settings); !made) return report(made.error());
    }
    const fs::path executable = executable_path();
    auto catalog = open_catalog(settings, executable);
    if (!catalog) return report(catalog.error());
    auto file = find_model(*catalog, model);
    if (!file && !settings.upstreams.empty()) {
        add_remote_models(*catalog, settings);
        file = find_model(*catalog, model);
    }
    if (!file && is_absent(*catalog, model, file.error()) && may_pull_missing(settings, model)) {
        fmt::print(stderr, "{}\n", file.error().message);
        if (const int code = pull_missing(settings, model); code != 0) return code;
        catalog = open_catalog(settings, executable);
        if (!catalog) return report(catalog.error());
        file = find_model(*catalog, model);
    }
    if (!file) return report(file.error());
    model = file->name;

    auto prompt = read_prompt(flags);
    if (prompt && prompt->find_first_not_of(" \t\r\n") == std::string::npos) {
        return report({ErrorCode::kInvalidArgument, "the prompt is empty"});
    }
    GenerationRequest request = flags.request;
    Chat first;
    if (!flags.system.empty()) first.messages.push_back(text_message(Role::kSystem, flags.system));
    request.prompt = std::move(first);

    asio::io_context io(1);
    BlockingPool pool;
    models::AdvancedModelManager manager(settings, *catalog, pool, executable.string());
    const auto shows = [&, shown = *file](std::string_view what) -> Result<std::string> {
        serve::ModelCards cards;
        const auto page = serve::model_page(cards, shown, catalog->sources(), false);
        if (!page) return std::unexpected(page.error());
        return show_text(*page, show_what(what));
    };
    ChatSession session(io, manager, model, std::move(request), shows);
    std::exception_ptr failure;
    auto ending = ChatSession::Ending::kFailed;
    asio::co_spawn(io, talk(session, manager, std::move(prompt)),
                   [&](const std::exception_ptr& thrown, ChatSession::Ending how) {
                       failure = thrown;
                       ending = how;
                       io.stop();
                   });
    io.run();
    if (failure) std::rethrow_exception(failure);
    switch (ending) {
        case ChatSession::Ending::kFinished: return 0;
        case ChatSession::Ending::kInterrupted: return 130;
        case ChatSession::Ending::kTerminated: return 143;
        case ChatSession::Ending::kFailed: return 1;
    }
    return 1;
}

}  // namespace

void add_run_command(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action) {
    CLI::App* app = parent.add_subcommand("run", "Talk to a model in this terminal");
    const auto run = std::make_shared<RunFlags>();
    SamplingParams& sampling = run->request.sampling;
    app->add_option("MODEL", run->model, "Name of a model, or path of a .gguf file")->required()->type_name("");
    app->add_option("PROMPT", run->prompt, "Without one: standard input, or a conversation if that is a terminal")
        ->type_name("");
    app->add_option("--system", run->system, "System message")->type_name("TEXT");
    app->add_option("--temperature", sampling.temperature, "0 to 2; 0 takes the most likely token")
        ->check(in_range(0.0F, 2.0F))
        ->type_name("X")
        ->capture_default_str();
    app->add_option("--top-k", sampling.top_k, "0 keeps all tokens")
        ->check(in_range(0, INT32_MAX))
        ->type_name("N")
        ->capture_default_str();
    app->add_option("--top-p", sampling.top_p, "Above 0, to 1")
        ->check(in_range(0.000001F, 1.0F))
        ->type_name("X")
        ->capture_default_str();
    app->add_option("--min-p", sampling.min_p, "0 to 1")
        ->check(in_range(0.0F, 1.0F))
        ->type_name("X")
        ->capture_default_str();
    app->add_option("--repeat-penalty", sampling.repeat_penalty, "Above 0, to 2; 1 is off")
        ->check(in_range(0.000001F, 2.0F))
        ->type_name("X")
        ->capture_default_str();
    app->add_option("--seed", sampling.seed, "Random when not given")
        ->check(in_range(std::int64_t{0}, INT64_MAX))
        ->type_name("N");
    app->add_option("--max-tokens", run->request.max_tokens, "Longest answer; by default until the context is full")
        ->check(in_range(1, INT32_MAX))
        ->type_name("N");
    app->add_option("--stop", run->request.stop, "End the answer before this text; may be repeated")
        ->allow_extra_args(false)
        ->type_name("TEXT");
    add_setting_flags(*app, flags);
    app->callback([&flags, &action, run, app] {
        const auto given = [app](const char* flag) { return app->count(flag) > 0; };
        run->request.given = {.temperature = given("--temperature"),
                              .top_k = given("--top-k"),
                              .top_p = given("--top-p"),
                              .min_p = given("--min-p"),
                              .repeat_penalty = given("--repeat-penalty"),
                              .seed = given("--seed"),
                              .max_tokens = given("--max-tokens"),
                              .stop = given("--stop")};
        action = [&flags, run] { return run_model(*run, flags); };
    });
}

}  // namespace sutazai::cli
