#include "catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "catalog/model_names.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNameLength = 200;
/// An error names so many models at most.
constexpr std::size_t kMostNamesTold = 20;

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// nullopt when none of its files is there.
std::optional<ModelFile> look_at(const std::string& name, const std::string& path) {
    ModelFile out{.name = name, .path = path};
    bool any = false;
    for (const std::string& part : model_parts(path)) {
        const auto stamp = stamp_of(part);
        if (!stamp) {
            if (out.problem.empty()) {
                out.problem = fmt::format("its part {} is missing", fs::path(part).filename().string());
            }
            continue;
        }
        any = true;
        out.bytes += stamp->bytes;
        out.modified_unix_s = std::max(out.modified_unix_s, stamp->modified_ns / 1'000'000'000);
        out.stamps.push_back(*stamp);
    }
    if (!any) return std::nullopt;
    if (!out.problem.empty()) out.stamps.clear();
    return out;
}

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
    return error ? path : whole.lexically_normal().string();
}

std::map<std::string, std::string> absolute(std::map<std::string, std::string> models) {
    for (auto& [name, path] : models) path = absolute(std::move(path));
    return models;
}

}  // namespace

bool is_valid_model_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxNameLength || name.find("..") != std::string_view::npos) return false;
    if (!is_alphanumeric(name[0]) && name[0] != '_') return false;
    return std::ranges::all_of(
        name, [](char c) { return is_alphanumeric(c) || std::string_view("._:/-").find(c) != std::string_view::npos; });
}

Listing scan(const ModelSources& sources) {
    Listing out;
    std::map<std::string, ModelFile> models;
    const auto add = [&](const std::string& name, const std::string& path) {
        auto file = look_at(name, path);
        return file && models.emplace(name, std::move(*file)).second;
    };
    for (const auto& [name, path] : sources.named) add(name, path);
    if (!sources.models_dir.empty()) {
        for (NamedFile& file : name_files(files_of(sources.models_dir))) {
            const std::string path = (fs::path(sources.models_dir) / file.file).string();
            if (sources.named.contains(file.name)) {
                if (sources.named.at(file.name) != path) {
                    out.notes.push_back(
                        fmt::format("{} is hidden by the model that is named \"{}\"", file.file, file.name));
                }
            } else if (add(file.name, path)) {
                out.folder_names.push_back(file.name);
                if (!file.note.empty()) out.notes.push_back(std::move(file.note));
            }
        }
    }
    for (const auto& [name, path] : sources.bundled) {
        if (!sources.named.contains(name)) add(name, path);
    }
    out.models.reserve(models.size());
    for (auto& [name, file] : models) out.models.push_back(std::move(file));
    return out;
}

Catalog::Catalog(ModelSources sources) : sources_(std::move(sources)) {
    sources_.named = absolute(std::move(sources_.named));
    sources_.models_dir = absolute(std::move(sources_.models_dir));
    sources_.bundled = absolute(std::move(sources_.bundled));
    refresh();
}

Catalog::Catalog(std::map<std::string, std::string> named, std::string models_dir,
                 std::map<std::string, std::string> bundled, std::string preferred)
    : Catalog(ModelSources{std::move(named), std::move(models_dir), std::move(bundled), std::move(preferred)}) {}

std::vector<std::string> Catalog::replace(Listing listing) {
    std::vector<std::string> fresh;
    if (listing == listing_) return fresh;
    for (const std::string& note : listing.notes) {
        if (std::ranges::find(listing_.notes, note) == listing_.notes.end()) fresh.push_back(note);
    }
    listing_ = std::move(listing);
    ++generation_;
    return fresh;
}

Result<ModelFile> Catalog::find(std::string_view name) const {
    if (!is_valid_model_name(name)) {
        return fail(ErrorCode::kInvalidArgument,
                    "a model name has 1 to 200 letters, digits or ._:/- and begins with a letter, digit or underscore",
                    "model");
    }
    const auto found = std::ranges::lower_bound(listing_.models, name, std::less(), &ModelFile::name);
    if (found != listing_.models.end() && found->name == name) {
        if (found->problem.empty()) return *found;
        return fail(ErrorCode::kLoadFailed, fmt::format("the model \"{}\" is not whole: {}", name, found->problem),
                    "model");
    }
    if (sources_.named.contains(std::string(name)) || sources_.bundled.contains(std::string(name))) {
        return fail(ErrorCode::kNotFound, fmt::format("the file of model \"{}\" is not there", name), "model");
    }
    std::string names;
    for (std::size_t i = 0; i < std::min(listing_.models.size(), kMostNamesTold); ++i) {
        names += (names.empty() ? "" : ", ") + listing_.models[i].name;
    }
    if (listing_.models.size() > kMostNamesTold) {
        names += fmt::format(" and {} more", listing_.models.size() - kMostNamesTold);
    }
    return fail(ErrorCode::kNotFound,
                fmt::format("there is no model \"{}\"; {}", name,
                            names.empty() ? "this server has none" : "this server has: " + names),
                "model");
}

std::string Catalog::default_model() const {
    if (!sources_.preferred.empty()) return sources_.preferred;
    if (sources_.named.size() == 1) return sources_.named.begin()->first;
    if (listing_.folder_names.size() == 1) return listing_.folder_names.front();
    return sources_.bundled.empty() ? "" : sources_.bundled.begin()->first;
}

}  // namespace sutazai::catalog
