#include "cli/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "synth/synth.h"
#include "upstream/upstreams.h"

namespace sutazai::cli {
namespace {

namespace fs = std::filesystem;

fs::path toy_path(const config::Settings& settings) {
    return fs::path(settings.home) / "models-synth" / fmt::format("{}.gguf", kToyModel);
}

bool is_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

}  // namespace

fs::path executable_path() {
    return fs::read_symlink("/proc/self/exe");
}

std::map<std::string, std::string> bundled_models(const config::Settings& settings, const fs::path& executable) {
    const fs::path folder = executable.parent_path();
    for (const fs::path& models : {folder / "models", folder.parent_path() / "share/sutazai/models"}) {
        const fs::path demo = models / fmt::format("{}.gguf", kDemoModel);
        if (is_file(demo)) return {{kDemoModel, demo.string()}};
    }
    if (is_file(toy_path(settings))) return {{kToyModel, toy_path(settings).string()}};
    return {};
}

Result<catalog::Catalog> open_catalog(const config::Settings& settings, const fs::path& executable,
                                      catalog::Scanner::Extent extent) {
    for (const auto& name : settings.model_order) {
        if (!catalog::is_valid_model_name(name)) {
            return fail(
                ErrorCode::kInvalidArgument,
                fmt::format("MODELS: \"{}\" is no model name; it must have 1 to 200 letters, digits or ._:/- and "
                            "begin with a letter, digit or underscore",
                            name),
                "MODELS");
        }
    }
    catalog::ModelSources sources{.named = settings.models,
                                  .models_dir = settings.models_dir,
                                  .bundled = bundled_models(settings, executable),
                                  .preferred = settings.model_order.empty() ? "" : settings.model_order.front(),
                                  .ollama_stores = settings.ollama_stores,
                                  .model_store = settings.model_store,
                                  .hf_cache = settings.hf_hub_cache == config::kOff ? "" : settings.hf_hub_cache,
                                  .models_toml = (fs::path(settings.home) / catalog::kModelsToml).string()};
    sources.upstreams.reserve(settings.upstreams.size());
    for (const auto& [name, address] : settings.upstreams) sources.upstreams.push_back(name);
    catalog::Catalog catalog(std::move(sources), extent);
    if (!catalog.config_problem().empty()) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("{}/{}", settings.home, catalog.config_problem()),
                    "models.toml");
    }
    return catalog;
}

void add_remote_models(catalog::Catalog& catalog, const config::Settings& settings) {
    if (settings.upstreams.empty()) return;
    catalog.scanner()->set_remote(upstream::list_remote_models(settings));
    catalog.refresh();
}

std::string models_dir_problem(const config::Loaded& loaded) {
    const bool named = std::ranges::any_of(loaded.rows, [](const config::SettingInfo& row) {
        return row.name == "MODELS_DIR" && row.source != config::Source::kDefault && !row.value.empty();
    });
    const std::string& folder = loaded.settings.models_dir;
    std::error_code error;
    if (named) fs::directory_iterator(folder, error);
    if (!error) return {};
    return fmt::format("MODELS_DIR={}: no models are found there: {}", folder, error.message());
}

Result<void> make_toy_model(const config::Settings& settings) {
    const fs::path path = toy_path(settings);
    if (is_file(path)) return {};
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) {
        return fail(ErrorCode::kInternal,
                    fmt::format("the folder {} cannot be made: {}", path.parent_path().string(), error.message()),
                    "SUTAZAI_HOME");
    }
    auto options = synth::synth_preset("toy");
    if (!options) return std::unexpected(options.error());
    options->name = kToyModel;
    options->output = path;
    return synth::synthesize(*options);
}

}  // namespace sutazai::cli
