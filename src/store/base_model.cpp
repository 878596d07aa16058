#include "store/base_model.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/model_parts.h"
#include "store/model_store.h"

namespace sutazai::store {

namespace fs = std::filesystem;

namespace {

/// The store that the file is a blob of.
std::optional<std::string> store_of(const std::string& path, const catalog::ModelSources& sources) {
    std::vector<std::string> roots = sources.ollama_stores;
    roots.insert(roots.begin(), sources.model_store);
    for (const std::string& root : roots) {
        if (!root.empty() && path.starts_with(root + "/blobs/")) return root;
    }
    return std::nullopt;
}

}  // namespace

Result<BaseModel> base_model(const catalog::ModelFile& file, const catalog::ModelSources& sources) {
    if (parse_part_name(fs::path(file.path).filename().string())) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the model \"{}\" is made of several files, which a store has no place for; "
                                "`llama-gguf-split --merge` makes one of them",
                                file.name),
                    "from");
    }
    BaseModel out{.name = file.name, .weights = file.path, .digest = parse_digest(file.weights)};
    const auto root = store_of(file.path, sources);
    const auto name = catalog::parse_ollama_name(file.name);
    if (!root || !name) return out;
    // An alias has the weights, but is no name of the store.
    const auto text = ModelStore(*root).read_manifest(*name);
    if (!text) return out;
    auto manifest = parse_manifest(*text);
    if (!manifest || manifest->find("model") == nullptr || manifest->find("model")->digest != out.digest) return out;
    out.store = *root;
    out.manifest = std::move(*manifest);
    return out;
}

}  // namespace sutazai::store
