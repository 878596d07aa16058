#include "catalog/catalog.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxNameLength = 200;

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// nullopt when there is no regular file.
std::optional<ModelFile> look_at(const std::string& name, const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return ModelFile{name, path, static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec};
}

/// File name without ".gguf" -> path, for the files of `folder` that make valid names.
std::map<std::string, std::string> scan(const std::string& folder) {
    std::map<std::string, std::string> models;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const fs::path& path = entry->path();
        const std::string name = path.stem().string();
        std::error_code ignored;
        if (path.extension() == ".gguf" && is_valid_model_name(name) && entry->is_regular_file(ignored)) {
            models.emplace(name, path.string());
        }
    }
    return models;
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

Catalog::Catalog(std::map<std::string, std::string> named, std::string models_dir,
                 std::map<std::string, std::string> bundled, std::string preferred)
    : named_(absolute(std::move(named))),
      models_dir_(absolute(std::move(models_dir))),
      bundled_(absolute(std::move(bundled))),
      preferred_(std::move(preferred)) {}

std::map<std::string, std::string> Catalog::all() const {
    std::map<std::string, std::string> models = named_;
    if (!models_dir_.empty()) models.merge(scan(models_dir_));
    models.insert(bundled_.begin(), bundled_.end());
    return models;
}

Result<ModelFile> Catalog::find(std::string_view name) const {
    if (!is_valid_model_name(name)) {
        return fail(ErrorCode::kInvalidArgument,
                    "a model name has 1 to 200 letters, digits or ._:/- and begins with a letter, digit or underscore",
                    "model");
    }
    const auto models = all();
    const auto found = models.find(std::string(name));
    if (found == models.end()) {
        std::string names;
        for (const auto& file : list()) names += (names.empty() ? "" : ", ") + file.name;
        return fail(ErrorCode::kNotFound,
                    fmt::format("there is no model \"{}\"; {}", name,
                                names.empty() ? "this server has none" : "this server has: " + names),
                    "model");
    }
    auto file = look_at(found->first, found->second);
    if (!file) return fail(ErrorCode::kNotFound, fmt::format("the file of model \"{}\" is not there", name), "model");
    return std::move(*file);
}

std::vector<ModelFile> Catalog::list() const {
    std::vector<ModelFile> files;
    for (const auto& [name, path] : all()) {
        if (auto file = look_at(name, path)) files.push_back(std::move(*file));
    }
    return files;
}

std::string Catalog::default_model() const {
    if (!preferred_.empty()) return preferred_;
    if (named_.size() == 1) return named_.begin()->first;
    const auto folder = models_dir_.empty() ? std::map<std::string, std::string>{} : scan(models_dir_);
    if (folder.size() == 1) return folder.begin()->first;
    return bundled_.empty() ? "" : bundled_.begin()->first;
}

}  // namespace sutazai::catalog
