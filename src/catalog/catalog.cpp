#include "catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sutazai::catalog {
namespace {

/// An error names so many models at most.
constexpr std::size_t kMostNamesTold = 20;

}  // namespace

Catalog::Catalog(ModelSources sources, Scanner::Extent extent)
    : scanner_(std::make_shared<Scanner>(std::move(sources))), listing_(scanner_->scan(extent)) {}

Catalog::Catalog(std::map<std::string, std::string> named, std::string models_dir,
                 std::map<std::string, std::string> bundled, std::string preferred)
    : Catalog(ModelSources{
          std::move(named), std::move(models_dir), std::move(bundled), std::move(preferred), {}, {}, {}, {}}) {}

void Catalog::replace(std::shared_ptr<const Listing> listing) {
    if (listing == listing_) return;
    listing_ = std::move(listing);
    ++generation_;
}

Result<ModelFile> Catalog::find(std::string_view name) const {
    if (!is_valid_model_name(name)) {
        return fail(ErrorCode::kInvalidArgument,
                    "a model name has 1 to 200 letters, digits or ._:/- and begins with a letter, digit or underscore",
                    "model");
    }
    if (const ModelFile* found = listing_->find(name)) {
        if (found->problem.empty()) return *found;
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("the model \"{}\" cannot be used: {}", found->name, found->problem), "model");
    }
    const ModelSources& known = sources();
    if (known.named.contains(std::string(name)) || known.bundled.contains(std::string(name))) {
        return fail(ErrorCode::kNotFound, fmt::format("the file of model \"{}\" is not there", name), "model");
    }
    const std::vector<ModelFile>& models = listing_->models;
    std::string names;
    for (std::size_t i = 0; i < std::min(models.size(), kMostNamesTold); ++i) {
        names += (names.empty() ? "" : ", ") + models[i].name;
    }
    if (models.size() > kMostNamesTold) names += fmt::format(" and {} more", models.size() - kMostNamesTold);
    return fail(ErrorCode::kNotFound,
                fmt::format("there is no model \"{}\"; {}", name,
                            names.empty() ? "this server has none" : "this server has: " + names),
                "model");
}

const ModelFile* Catalog::find_engine(const std::string& engine, std::string_view path) const {
    const auto found = listing_->by_engine.find(engine);
    if (found == listing_->by_engine.end()) return nullptr;
    const ModelFile* const first = &listing_->models[found->second];
    if (path.empty() || first->path == path) return first;
    const auto other = std::ranges::find_if(listing_->models, [&](const ModelFile& model) {
        return model.path == path && model.engine == engine && model.problem.empty();
    });
    return other == listing_->models.end() ? first : &*other;
}

std::string Catalog::default_model() const {
    const ModelSources& known = sources();
    if (!known.preferred.empty()) return known.preferred;
    if (known.named.size() == 1) return known.named.begin()->first;
    if (listing_->folder_names.size() == 1) return listing_->folder_names.front();
    return known.bundled.empty() ? "" : known.bundled.begin()->first;
}

}  // namespace sutazai::catalog
