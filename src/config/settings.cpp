#include "config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "config/setting_rows.h"

namespace sutazai::config {
namespace {

std::string show(const SettingRow& row, const Settings& settings) {
    std::string value = row.show(settings);
    return row.secret && !value.empty() ? "***" : value;
}

SettingInfo info(const SettingRow& row, const Settings& settings, Source source) {
    return {row.name, row.flag, show(row, settings), source, row.description};
}

bool is_setting(std::string_view name) {
    return std::ranges::any_of(setting_rows(), [&](const SettingRow& row) { return row.name == name; });
}

/// Kubernetes puts these into every pod beside a service that is called sutazai.
bool is_service_link(const std::string& name, const std::string& value) {
    return name.starts_with("SUTAZAI_SERVICE_") || name.starts_with("SUTAZAI_PORT_") ||
           (name == "SUTAZAI_PORT" && value.starts_with("tcp://"));
}

Result<void> check_names(const Inputs& inputs) {
    const auto unknown = [](const std::string& name, Source source) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} ({}) is no setting; `sutazai config` lists them all", name, to_string(source)),
                    name);
    };
    for (const auto& [name, value] : inputs.flags) {
        if (!is_setting(name)) return unknown(name, Source::kFlag);
    }
    for (const auto& [name, value] : inputs.dot_env) {
        if (!is_setting(name)) return unknown(name, Source::kDotEnv);
    }
    for (const auto& [name, value] : inputs.environment) {
        if (!name.starts_with("SUTAZAI_") || is_setting(name) || is_service_link(name, value)) continue;
        return unknown(name, Source::kEnvironment);
    }
    return {};
}

/// Where Ollama's own programs and Hugging Face's keep models, unless the settings say otherwise.
void choose_stores(Settings& settings, const std::map<std::string, std::string>& environment) {
    const auto folder = [&](const char* name) {
        const auto found = environment.find(name);
        std::filesystem::path path(found == environment.end() ? "" : found->second);
        return path.is_absolute() ? path : std::filesystem::path();
    };
    if (settings.ollama_models.empty()) {
        if (!folder("HOME").empty()) settings.ollama_stores.push_back((folder("HOME") / ".ollama/models").string());
        settings.ollama_stores.emplace_back("/usr/share/ollama/.ollama/models");
    } else if (settings.ollama_models != kOff) {
        settings.ollama_stores.push_back(settings.ollama_models);
    }
    if (!settings.hf_hub_cache.empty()) return;
    for (const auto& [variable, below] : {std::pair("HF_HOME", "hub"), std::pair("XDG_CACHE_HOME", "huggingface/hub"),
                                          std::pair("HOME", ".cache/huggingface/hub")}) {
        if (folder(variable).empty()) continue;
        settings.hf_hub_cache = (folder(variable) / below).string();
        return;
    }
}

/// The XDG base directory specification's data folder.
Result<std::string> default_home(const std::map<std::string, std::string>& environment) {
    const auto variable = [&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::filesystem::path() : std::filesystem::path(found->second);
    };
    const auto data = variable("XDG_DATA_HOME");
    if (data.is_absolute()) return (data / "sutazai").string();
    const auto home = variable("HOME");
    if (home.is_absolute()) return (home / ".local/share/sutazai").string();
    return fail(ErrorCode::kInvalidArgument,
                "SUTAZAI_HOME is not set, and must be a folder, as neither XDG_DATA_HOME nor HOME names one",
                "SUTAZAI_HOME");
}

/// No shell has seen a path of .env, of a service's environment or of --flag=~/path.
Result<void> expand_tilde(const std::string& name, std::string& path,
                          const std::map<std::string, std::string>& environment) {
    if (!path.starts_with('~')) return {};
    if (path.size() > 1 && path[1] != '/') {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{}: \"{}\" is not allowed; ~ stands for your own folder alone, as in ~/models (a path "
                                "may begin with ./~)",
                                name, path),
                    name);
    }
    const auto home = environment.find("HOME");
    if (home == environment.end() || !std::filesystem::path(home->second).is_absolute()) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("{}: \"{}\" is not allowed, as HOME names no folder that ~ could stand for", name, path), name);
    }
    path = home->second + path.substr(1);
    return {};
}

/// A key that nobody gets is a name that was misspelt.
Result<void> check_upstream_keys(const Settings& settings) {
    for (const auto& [name, key] : settings.upstream_keys) {
        if (std::ranges::find(settings.upstreams, name, &std::pair<std::string, UpstreamAddress>::first) !=
            settings.upstreams.end()) {
            continue;
        }
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("UPSTREAM_KEYS: there is a key for \"{}\", which is none of UPSTREAMS", name),
                    "UPSTREAM_KEYS");
    }
    return {};
}

Result<void> expand_tildes(Settings& settings, const std::map<std::string, std::string>& environment) {
    std::vector<std::pair<std::string, std::string*>> paths{
        {"SUTAZAI_HOME", &settings.home},           {"CACHE_ARTIFACTS_DIR", &settings.cache_artifacts_dir},
        {"MODELS_DIR", &settings.models_dir},       {"MODEL_STORE", &settings.model_store},
        {"OLLAMA_MODELS", &settings.ollama_models}, {"HF_HUB_CACHE", &settings.hf_hub_cache}};
    for (auto& [model, path] : settings.models) paths.emplace_back("MODELS", &path);
    for (const auto& [name, path] : paths) {
        if (auto expanded = expand_tilde(name, *path, environment); !expanded) return expanded;
    }
    return {};
}

}  // namespace

const char* to_string(Source source) {
    switch (source) {
        case Source::kDefault: return "default";
        case Source::kDotEnv: return ".env";
        case Source::kEnvironment: return "environment";
        case Source::kFlag: return "flag";
    }
    return "default";
}

Result<Loaded> load(const Inputs& inputs) {
    if (auto known = check_names(inputs); !known) return std::unexpected(known.error());

    const std::array<std::pair<const std::map<std::string, std::string>*, Source>, 3> by_precedence{
        {{&inputs.flags, Source::kFlag},
         {&inputs.environment, Source::kEnvironment},
         {&inputs.dot_env, Source::kDotEnv}}};
    Loaded loaded;
    std::vector<Source> sources;
    for (const SettingRow& row : setting_rows()) {
        Source& source = sources.emplace_back(Source::kDefault);
        for (const auto& [values, candidate] : by_precedence) {
            const auto found = values->find(row.name);
            if (found == values->end()) continue;
            source = candidate;
            if (const auto set = row.set(loaded.settings, found->second); !set) {
                const bool hidden = row.secret || row.hides_wrong_value;
                const std::string value = hidden ? "the value" : fmt::format("\"{}\"", found->second);
                return fail(ErrorCode::kInvalidArgument,
                            fmt::format("{} ({}): {} is not allowed; it must be {}", row.name, to_string(source), value,
                                        set.error()),
                            row.name);
            }
            break;
        }
    }

    Settings& settings = loaded.settings;
    if (auto checked = check_upstream_keys(settings); !checked) return std::unexpected(std::move(checked.error()));
    if (auto expanded = expand_tildes(settings, inputs.environment); !expanded) {
        return std::unexpected(std::move(expanded.error()));
    }
    if (settings.home.empty()) {
        auto home = default_home(inputs.environment);
        if (!home) return std::unexpected(home.error());
        settings.home = std::move(*home);
    }
    if (settings.cache_artifacts_dir.empty()) {
        settings.cache_artifacts_dir = (std::filesystem::path(settings.home) / "artifacts").string();
    }
    if (settings.models_dir.empty()) settings.models_dir = (std::filesystem::path(settings.home) / "models").string();
    if (settings.model_store.empty()) settings.model_store = (std::filesystem::path(settings.home) / "store").string();

    choose_stores(settings, inputs.environment);

    for (std::size_t i = 0; i < sources.size(); ++i) {
        loaded.rows.push_back(info(setting_rows()[i], settings, sources[i]));
    }
    return loaded;
}

std::vector<SettingInfo> describe() {
    std::vector<SettingInfo> rows;
    for (const SettingRow& row : setting_rows()) rows.push_back(info(row, Settings{}, Source::kDefault));
    return rows;
}

}  // namespace sutazai::config
