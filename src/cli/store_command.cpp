#include "cli/store_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/small_file.h"
#include "cli/find_model.h"
#include "cli/model_files.h"
#include "cli/setting_flags.h"
#include "cli/show_text.h"
#include "cli/work_view.h"
#include "fetch/pull_base.h"
#include "ipc/process.h"
#include "llama/quantise.h"
#include "serve/model_pages.h"
#include "store/create.h"
#include "store/modelfile.h"
#include "store/quantisations.h"
#include "store/quantise.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

using Flags = std::map<std::string, std::string>;

constexpr std::size_t kMostModelfileBytes = 16 << 20;
constexpr const char* kStopped = "interrupted; nothing was changed";

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

/// What the commands work on.
struct Shelf {
    config::Settings settings;
    catalog::Catalog catalog;

    [[nodiscard]] store::ModelStore store() const { return store::ModelStore(catalog.sources().model_store); }
};

Result<Shelf> open_shelf(const Flags& flags) {
    auto loaded = load_settings(flags);
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    auto catalog = open_catalog(loaded->settings, executable_path());
    if (!catalog) return std::unexpected(std::move(catalog.error()));
    return Shelf{std::move(loaded->settings), std::move(*catalog)};
}

Result<store::BaseModel> base_named(const Shelf& shelf, const std::string& name) {
    const auto file = find_model(shelf.catalog, name);
    if (!file) return std::unexpected(file.error());
    return store::base_model(*file, shelf.catalog.sources());
}

/// Does it, with its progress on standard error.
int carry_out(const std::function<Result<void>(const store::WorkContext& work)>& what) {
    return run_stoppable(
        [&](const std::stop_token& stop) {
            WorkView view(stderr);
            auto done = what({stop, [&](const WorkProgress& progress) { view.show(progress); }});
            if (done) view.show({"success"});
            return done;
        },
        kStopped);
}

struct CreateFlags {
    std::string name, modelfile, quantize;
};

/// The path of FROM as it is meant: beside the Modelfile, or below the own folder.
fs::path beside(const fs::path& modelfile, const std::string& from) {
    if (from.starts_with("~/")) {
        const char* const home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): nobody sets it
        return fs::path(home == nullptr ? "" : home) / from.substr(2);
    }
    const fs::path path(from);
    return path.is_absolute() ? path : modelfile.parent_path() / path;
}

/// What `from` says: a file, or a model. A name that is both is the model, as the instruction is about models.
Result<store::BaseModel> base_of(const Shelf& shelf, const std::string& from, const fs::path& modelfile,
                                 const store::WorkContext& work) {
    std::error_code error;
    const fs::path path = beside(modelfile, from);
    if (!store::is_file_path(from) && (shelf.catalog.find(from) || !fs::exists(path, error))) {
        auto here = base_named(shelf, from);
        if (here || here.error().code != ErrorCode::kNotFound) return here;
        const auto missing = fetch::missing_base(shelf.settings, from, std::move(here.error()));
        if (!missing) return std::unexpected(missing.error());
        return fetch::pull_base(*missing, work.stop, work.tell);
    }
    if (fs::is_directory(path, error)) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("FROM: {} is a folder; weights are read from one GGUF file, not from safetensors",
                                path.string()),
                    "from");
    }
    if (!fs::is_regular_file(path, error)) {
        return fail(ErrorCode::kNotFound, fmt::format("FROM: there is no file {}", path.string()), "from");
    }
    return store::base_model({.name = path.filename().string(), .path = path.string()}, shelf.catalog.sources());
}

Result<std::string> read_modelfile(const std::string& path) {
    if (path == "-") return std::string{std::istreambuf_iterator<char>(std::cin), {}};
    auto text = read_small_file(path, kMostModelfileBytes);
    if (text) return text;
    return fail(ErrorCode::kNotFound, fmt::format("the Modelfile {} {}", path, text.error().message), "modelfile");
}

Result<store::ModelRecipe> read_recipe(const CreateFlags& flags) {
    auto text = read_modelfile(flags.modelfile);
    if (!text) return std::unexpected(std::move(text.error()));
    auto recipe = store::parse_modelfile(*text);
    if (!recipe) return recipe;
    for (std::string& file : recipe->adapter_files) file = beside(flags.modelfile, file).string();
    if (flags.quantize.empty()) return recipe;
    const auto type = store::quantisation_named(flags.quantize);
    if (!type) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("--quantize: \"{}\" is not one of {}", flags.quantize, store::quantisation_names()));
    }
    recipe->quantize = *type;
    return recipe;
}

int create(const CreateFlags& flags, const Flags& setting_flags) {
    const auto name = store::new_model_name(flags.name, "NAME");
    if (!name) return report(name.error());
    const auto recipe = read_recipe(flags);
    if (!recipe) return report(recipe.error());
    const auto shelf = open_shelf(setting_flags);
    if (!shelf) return report(shelf.error());
    if (auto free = store::check_name_is_free(shelf->catalog, *name, "NAME"); !free) return report(free.error());
    return carry_out([&](const store::WorkContext& work) -> Result<void> {
        const auto base = base_of(*shelf, recipe->from, flags.modelfile, work);
        if (!base) return std::unexpected(base.error());
        return store::create_model(shelf->store(), *name, *recipe, *base,
                                   store::quantiser_process(shelf->settings.threads), work);
    });
}

int copy(const std::string& from, const std::string& to, const Flags& setting_flags) {
    const auto name = store::new_model_name(to, "TO");
    if (!name) return report(name.error());
    const auto shelf = open_shelf(setting_flags);
    if (!shelf) return report(shelf.error());
    if (auto free = store::check_name_is_free(shelf->catalog, *name, "TO"); !free) return report(free.error());
    const auto file = find_model(shelf->catalog, from);
    if (!file) return report(file.error());
    const auto base = store::model_to_copy(*file, shelf->catalog.sources());
    if (!base) return report(base.error());
    const int code = carry_out(
        [&](const store::WorkContext& work) { return store::copy_model(shelf->store(), *base, *name, work); });
    if (code == 0) fmt::print("copied '{}' to '{}'\n", from, to);
    return code;
}

int remove(const std::vector<std::string>& names, const Flags& setting_flags) {
    const auto shelf = open_shelf(setting_flags);
    if (!shelf) return report(shelf.error());
    int code = 0;
    for (const std::string& name : names) {
        std::optional<catalog::ModelFile> there;
        if (const auto* holder = shelf->catalog.holder(name)) there = *holder;
        if (auto removed = store::remove_model(shelf->store(), name, there); removed) {
            fmt::print("deleted '{}'\n", name);
        } else {
            code = report(removed.error());
        }
    }
    return code;
}

int show(const std::string& name, const ShowWhat& what, const Flags& setting_flags) {
    const auto shelf = open_shelf(setting_flags);
    if (!shelf) return report(shelf.error());
    const auto file = find_model(shelf->catalog, name);
    if (!file) return report(file.error());
    serve::ModelCards cards;
    const auto page = serve::model_page(cards, *file, shelf->catalog.sources(), what == ShowWhat::kVerbose);
    if (!page) return report(page.error());
    fmt::print("{}", show_text(*page, what));
    return 0;
}

int quantise_here(const llama::QuantiseWork& work) {
    const auto tell = [](const std::string& line) {
        // Nobody is left to be told when this fails.
        (void)!::write(ipc::ChildProcess::kSocketFd, line.data(), line.size());
    };
    const auto done =
        llama::quantise(work, [&](std::uint64_t bytes) { tell(fmt::format("{} {}\n", store::kSizeWord, bytes)); });
    if (done) return 0;
    tell(fmt::format("{} {}\n", store::kErrorWord, done.error().message));
    return 1;
}

}  // namespace

void add_store_commands(CLI::App& parent, Flags& flags, std::function<int()>& action) {
    CLI::App* create_app = parent.add_subcommand("create", "Make a model from a Modelfile");
    const auto made = std::make_shared<CreateFlags>();
    create_app->add_option("NAME", made->name, "The model's name, [namespace/]model[:tag]")->required()->type_name("");
    create_app->add_option("-f,--file", made->modelfile, "The Modelfile; - is standard input")
        ->default_val("Modelfile")
        ->type_name("FILE");
    create_app
        ->add_option("-q,--quantize", made->quantize,
                     "Quantise F32, F16 or BF16 weights: " + store::quantisation_names())
        ->type_name("TYPE");
    add_setting_flags(*create_app, flags);
    create_app->callback([&, made] { action = [&, made] { return create(*made, flags); }; });

    CLI::App* copy_app = parent.add_subcommand("cp", "Give a model a second name");
    const auto names = std::make_shared<std::pair<std::string, std::string>>();
    copy_app->add_option("FROM", names->first, "A model")->required()->type_name("");
    copy_app->add_option("TO", names->second, "Its new name")->required()->type_name("");
    add_setting_flags(*copy_app, flags);
    copy_app->callback([&, names] { action = [&, names] { return copy(names->first, names->second, flags); }; });

    CLI::App* remove_app = parent.add_subcommand("rm", "Remove models from the store");
    const auto removed = std::make_shared<std::vector<std::string>>();
    remove_app->add_option("MODEL", *removed, "Names of models")->required()->type_name("");
    add_setting_flags(*remove_app, flags);
    remove_app->callback([&, removed] { action = [&, removed] { return remove(*removed, flags); }; });

    CLI::App* show_app = parent.add_subcommand("show", "Show what there is to know of a model");
    const auto shown = std::make_shared<std::string>();
    const auto what = std::make_shared<ShowWhat>(ShowWhat::kAll);
    show_app->add_option("MODEL", *shown, "A model")->required()->type_name("");
    CLI::Option_group* one = show_app->add_option_group("One of these");
    for (const auto& [flag, value, help] :
         {std::tuple("--modelfile", ShowWhat::kModelfile, "Print its Modelfile"),
          std::tuple("--parameters", ShowWhat::kParameters, "Print its parameters"),
          std::tuple("--template", ShowWhat::kTemplate, "Print its chat template"),
          std::tuple("--system", ShowWhat::kSystem, "Print its system message"),
          std::tuple("--license", ShowWhat::kLicense, "Print its licence"),
          std::tuple("-v,--verbose", ShowWhat::kVerbose, "With all that its file says")}) {
        one->add_flag_callback(
            flag, [what, value = value] { *what = value; }, help);
    }
    one->require_option(0, 1);
    add_setting_flags(*show_app, flags);
    show_app->callback([&, shown, what] { action = [&, shown, what] { return show(*shown, *what, flags); }; });
}

void add_quantise_worker(CLI::App& parent, std::function<int()>& action) {
    CLI::App* app = parent.add_subcommand("quantize-worker", "Quantise one file")->group("");
    const auto work = std::make_shared<llama::QuantiseWork>();
    app->add_option("--input", work->input)->required();
    app->add_option("--output", work->output)->required();
    app->add_option("--type", work->type)->required();
    app->add_option("--threads", work->threads);
    app->callback([&action, work] { action = [work] { return quantise_here(*work); }; });
}

}  // namespace sutazai::cli
