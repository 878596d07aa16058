#include "catalog/scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/small_file.h"
#include "catalog/hf_cache.h"
#include "catalog/model_names.h"
#include "catalog/ollama_name.h"
#include "catalog/projectors.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;
using Matters = FolderWatch::Matters;

constexpr std::size_t kMostConfigBytes = 4 << 20;
constexpr std::size_t kMostTemplateBytes = 1 << 20;
constexpr std::string_view kLatest = ":latest";

std::vector<std::string> files_of(const std::string& folder) {
    std::vector<std::string> files;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        files.push_back(entry->path().filename().string());
    }
    return files;
}

std::string absolute(std::string path) {
    if (path.empty()) return path;
    std::error_code error;
    const fs::path whole = fs::absolute(path, error);
    if (error) return path;
    path = whole.lexically_normal().string();
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

std::map<std::string, std::string> absolute(std::map<std::string, std::string> models) {
    for (auto& [name, path] : models) path = absolute(std::move(path));
    return models;
}

std::string store_key(std::string_view name) {
    const auto parsed = parse_ollama_name(name);
    return parsed ? parsed->key() : in_small_letters(name);
}

/// The other of "name" and "name:latest".
std::string with_or_without_latest(std::string_view name) {
    if (name.ends_with(kLatest)) return std::string(name.substr(0, name.size() - kLatest.size()));
    return std::string(name) + std::string(kLatest);
}

void set_profile(ModelFile& model, ModelProfile profile) {
    model.engine = engine_key(model.weights, profile.load);
    model.profile = std::make_shared<const ModelProfile>(std::move(profile));
}

}  // namespace

bool Listing::same_content(const Listing& other) const {
    return models == other.models && folder_names == other.folder_names && notes == other.notes &&
           config_problem == other.config_problem && by_store_name == other.by_store_name;
}

const ModelFile* Listing::find(std::string_view name) const {
    const auto exactly = [this](std::string_view wanted) -> const ModelFile* {
        const auto found = std::ranges::lower_bound(models, wanted, std::less<>(), &ModelFile::name);
        return found != models.end() && found->name == wanted ? &*found : nullptr;
    };
    if (const ModelFile* found = exactly(name)) return found;
    if (const ModelFile* found = exactly(with_or_without_latest(name))) return found;
    const auto found = by_store_name.find(store_key(name));
    return found == by_store_name.end() ? nullptr : &models[found->second];
}

/// One look at everything.
struct Scanner::Round {
    const ModelSources& sources;
    Extent extent;
    FolderWatch* watch;
    Listing out;
    std::map<std::string, ModelFile> models;
    std::map<std::string, std::string> store_names;  ///< by OllamaName::key(), also those that stand for another

    void watch_folder(const std::string& folder, Matters what) const {
        if (watch != nullptr) watch->watch_folder(folder, what);
    }
    void watch_file(const std::string& path) const {
        if (watch != nullptr) watch->watch_file(path);
    }

    bool add(std::optional<ModelFile> model) {
        if (!model) return false;
        std::string name = model->name;
        return models.emplace(std::move(name), std::move(*model)).second;
    }
    void add_from_store(ModelFile model) {
        std::string key = store_key(model.name);
        std::string name = model.name;
        if (add(std::move(model))) store_names.emplace(std::move(key), std::move(name));
    }

    ModelFile* find(std::string_view name) {
        for (const std::string& spelling : {std::string(name), with_or_without_latest(name)}) {
            if (const auto found = models.find(spelling); found != models.end()) return &found->second;
        }
        const auto store = store_names.find(store_key(name));
        return store == store_names.end() ? nullptr : &models.at(store->second);
    }

    void look_at_named() {
        for (const auto& [name, path] : sources.named) {
            watch_file(path);
            add(look_at_model(name, path));
        }
    }

    void look_at_folder() {
        if (sources.models_dir.empty()) return;
        watch_folder(sources.models_dir, Matters::kModels);
        std::vector<std::string> files = files_of(sources.models_dir);
        std::vector<std::string> projectors;
        std::ranges::copy_if(files, std::back_inserter(projectors), is_projector_name);
        std::erase_if(files, [](const std::string& file) { return is_projector_name(file); });
        std::vector<NamedFile> all = name_files(files);
        const bool is_alone = all.size() == 1;
        for (NamedFile& file : all) {
            const std::string path = (fs::path(sources.models_dir) / file.file).string();
            if (sources.named.contains(file.name)) {
                if (sources.named.at(file.name) != path) {
                    out.notes.push_back(
                        fmt::format("{} is hidden by the model that is named \"{}\"", file.file, file.name));
                }
            } else if (add(with_projector(look_at_model(file.name, path), projectors, is_alone))) {
                out.folder_names.push_back(file.name);
                if (!file.note.empty()) out.notes.push_back(std::move(file.note));
            }
        }
    }

    [[nodiscard]] std::optional<ModelFile> with_projector(std::optional<ModelFile> model,
                                                          const std::vector<std::string>& projectors,
                                                          bool is_alone) const {
        const std::string file = model ? projector_for(model->path, projectors, is_alone) : std::string();
        if (!file.empty()) set_projector(*model, (fs::path(sources.models_dir) / file).string());
        return model;
    }

    void look_at_stores(std::vector<OllamaStore>& stores) {
        const FolderVisitor visit = [this](const std::string& folder) { watch_folder(folder, Matters::kEverything); };
        std::error_code error;
        for (OllamaStore& store : stores) {
            // Its coming is heard of: the first model may be made by another process.
            if (store.root() == sources.model_store) visit(store.root() + "/manifests");
            if (!fs::is_directory(store.root() + "/manifests", error)) continue;
            auto found = store.scan(visit);
            for (ModelFile& model : found.models) add_from_store(std::move(model));
            std::ranges::move(found.notes, std::back_inserter(out.notes));
        }
        if (sources.hf_cache.empty() || !fs::is_directory(sources.hf_cache, error)) return;
        HfFound found = scan_hf_cache(sources.hf_cache, visit);
        for (ModelFile& model : found.models) add_from_store(std::move(model));
        for (const std::string& name : found.defaults) {
            store_names.emplace(store_key(name.substr(0, name.rfind(':'))), name);
        }
        std::ranges::move(found.notes, std::back_inserter(out.notes));
    }

    void look_at_bundled() {
        for (const auto& [name, path] : sources.bundled) {
            if (!sources.named.contains(name)) add(look_at_model(name, path));
        }
    }

    void look_at_remote(const std::vector<RemoteModel>& remote) {
        for (const RemoteModel& model : remote) add(remote_model(model.model, model));
    }

    /// The settings of a model, its template file read.
    Result<ModelProfile> profile_of_configured(const ConfiguredModel& wanted) const {
        ModelProfile profile = wanted.profile;
        for (const AdapterChoice& adapter : profile.request.adapters) {
            if (const auto stamp = stamp_of(adapter.path)) profile.adapter_bytes += stamp->bytes;
        }
        if (!profile.load.projector.empty()) {
            watch_file(profile.load.projector);
            if (!stamp_of(profile.load.projector)) {
                return fail(ErrorCode::kLoadFailed,
                            fmt::format("{}: its projector {} is not there", wanted.place, profile.load.projector));
            }
        }
        if (wanted.template_file.empty()) return profile;
        watch_file(wanted.template_file);
        auto text = read_small_file(wanted.template_file, kMostTemplateBytes);
        if (!text || text->empty()) {
            return fail(ErrorCode::kLoadFailed,
                        fmt::format("{}: its template {} {}", wanted.place, wanted.template_file,
                                    text ? "is empty" : text.error().message));
        }
        profile.load.chat_template = std::move(*text);
        return profile;
    }

    void configure(ModelFile& model, const ConfiguredModel& wanted) const {
        if (model.remote && wanted.is_about_loading() && model.problem.empty()) {
            model.problem = fmt::format(
                "{}: another server has \"{}\", so that nothing can be said here of how it is "
                "loaded: context, kv_type, template, projector, pinned, keep_alive and adapters are its own",
                wanted.place, model.name);
            return;
        }
        auto profile = profile_of_configured(wanted);
        if (profile) {
            set_profile(model, merged(*profile, profile_of(model)));
        } else if (model.problem.empty()) {
            model.problem = profile.error().message;
            model.stamps.clear();
        }
    }

    void apply(const std::vector<ConfiguredModel>& config) {
        for (const ConfiguredModel& wanted : config) {
            if (wanted.is_new()) continue;
            if (ModelFile* model = find(wanted.name)) {
                configure(*model, wanted);
            } else if (extent == Extent::kNear) {
                out.unresolved = true;
            } else if (sources.upstreams.empty()) {  // else it may be one that cannot be reached
                out.notes.push_back(fmt::format("{}: there is no model \"{}\" that its settings could be for",
                                                wanted.place, wanted.name));
            }
        }
        std::map<std::string, ModelFile> aliases;
        for (const ConfiguredModel& wanted : config) {
            if (!wanted.is_new()) continue;
            if (sources.named.contains(wanted.name)) {
                out.notes.push_back(
                    fmt::format("{}: \"{}\" is hidden by the model that is named so", wanted.place, wanted.name));
                continue;
            }
            if (auto model = alias(config, wanted, 0)) aliases.emplace(wanted.name, std::move(*model));
        }
        for (auto& [name, model] : aliases) {
            if (std::erase(out.folder_names, name) > 0) {
                out.notes.push_back(fmt::format("the file of \"{}\" is hidden by models.toml", name));
            }
            models.insert_or_assign(name, std::move(model));
        }
    }

    /// Nothing when it may yet come with the stores.
    std::optional<ModelFile> alias(const std::vector<ConfiguredModel>& config, const ConfiguredModel& wanted,
                                   std::size_t depth) {
        const auto broken = [&](std::string problem) {
            return ModelFile{.name = wanted.name, .problem = fmt::format("{}: {}", wanted.place, problem)};
        };
        std::optional<ModelFile> model;
        if (wanted.remote) {
            const std::string& upstream = wanted.remote->upstream;
            if (!upstream.empty() && std::ranges::find(sources.upstreams, upstream) == sources.upstreams.end()) {
                return broken(fmt::format("its upstream \"{}\" is none of UPSTREAMS", upstream));
            }
            model = remote_model(wanted.name, *wanted.remote);
        } else if (!wanted.path.empty()) {
            watch_file(wanted.path);
            model = look_at_model(wanted.name, wanted.path);
            if (!model) return broken(fmt::format("there is no file {}", wanted.path));
        } else {
            if (depth == config.size()) return broken("its \"from\" leads back to itself");
            const auto next = std::ranges::find_if(config, [&](const ConfiguredModel& other) {
                return other.name == wanted.from && other.is_new() && &other != &wanted;
            });
            if (next != config.end()) {
                model = alias(config, *next, depth + 1);
            } else if (const ModelFile* found = find(wanted.from)) {
                model = *found;
            }
            if (!model && extent == Extent::kNear) {
                out.unresolved = true;
                return std::nullopt;
            }
            if (!model) return broken(fmt::format("there is no model \"{}\"", wanted.from));
            model->name = wanted.name;
            model->in_store = false;
        }
        configure(*model, wanted);
        return model;
    }

    std::shared_ptr<const Listing> finish(const Listing* before) {
        out.models.reserve(models.size());
        for (auto& [name, model] : models) {
            if (model.problem.empty()) out.by_engine.emplace(model.engine, out.models.size());
            out.models.push_back(std::move(model));
        }
        for (const auto& [key, name] : store_names) {
            const auto at = std::ranges::lower_bound(out.models, name, {}, &ModelFile::name);
            if (at == out.models.end() || at->name != name) continue;
            out.by_store_name.emplace(key, static_cast<std::size_t>(at - out.models.begin()));
        }
        std::set<std::string_view> old;
        if (before != nullptr) old.insert(before->notes.begin(), before->notes.end());
        for (const std::string& note : out.notes) {
            if (!old.contains(note)) out.fresh_notes.push_back(note);
        }
        return std::make_shared<const Listing>(std::move(out));
    }
};

Scanner::Scanner(ModelSources sources) : sources_(std::move(sources)) {
    sources_.named = absolute(std::move(sources_.named));
    sources_.models_dir = absolute(std::move(sources_.models_dir));
    sources_.bundled = absolute(std::move(sources_.bundled));
    sources_.hf_cache = absolute(std::move(sources_.hf_cache));
    sources_.models_toml = absolute(std::move(sources_.models_toml));
    sources_.model_store = absolute(std::move(sources_.model_store));
    if (!sources_.model_store.empty()) stores_.emplace_back(sources_.model_store);
    for (std::string& root : sources_.ollama_stores) {
        root = absolute(std::move(root));
        if (root != sources_.model_store) stores_.emplace_back(root);
    }
}

void Scanner::set_remote(std::vector<RemoteModel> models) {
    const std::lock_guard lock(remote_mutex_);
    remote_ = std::move(models);
}

std::shared_ptr<const Listing> Scanner::scan(Extent extent, FolderWatch* watch) {
    if (watch != nullptr) watch->begin();
    Round round{sources_, extent, watch, {}, {}, {}};
    read_config(round);
    round.look_at_named();
    round.look_at_folder();
    if (extent == Extent::kAll) round.look_at_stores(stores_);
    round.look_at_bundled();
    {
        const std::lock_guard lock(remote_mutex_);
        round.look_at_remote(remote_);
    }
    round.apply(config_);
    auto now = round.finish(last_.get());
    if (last_ && last_->same_content(*now)) return last_;
    before_last_ = std::move(last_);
    last_ = std::move(now);
    return last_;
}

void Scanner::read_config(Round& round) {
    if (sources_.models_toml.empty()) return;
    round.watch_file(sources_.models_toml);
    const auto stamp = stamp_of(sources_.models_toml);
    std::error_code error;
    if (!stamp && !fs::exists(fs::symlink_status(sources_.models_toml, error))) {
        config_.clear();
        config_problem_.clear();
        config_stamp_.reset();
    } else if (!stamp || stamp != config_stamp_) {
        config_stamp_ = stamp;
        const auto text = read_small_file(sources_.models_toml, kMostConfigBytes);
        const std::string folder = fs::path(sources_.models_toml).parent_path().string();
        auto parsed = text ? parse_models_toml(*text, folder)
                           : Result<std::vector<ConfiguredModel>>(fail(
                                 ErrorCode::kInvalidArgument, fmt::format("{} {}", kModelsToml, text.error().message)));
        if (parsed) {
            config_ = std::move(*parsed);
            config_problem_.clear();
        } else {
            config_problem_ = parsed.error().message;
        }
    }
    round.out.config_problem = config_problem_;
}

}  // namespace sutazai::catalog
