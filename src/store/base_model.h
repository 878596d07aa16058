#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/error.h"
#include "catalog/model_file.h"
#include "catalog/scanner.h"
#include "store/manifest.h"
#include "store/model_store.h"

namespace sutazai::store {

/// What another model can be made of, or copied from: a model of the catalogue, wherever it lies.
struct BaseModel {
    std::string name;
    std::filesystem::path weights;
    std::optional<Digest> digest;                ///< of them, where a store has them under it
    std::optional<std::filesystem::path> store;  ///< root of the store of Ollama's layout that describes it
    Manifest manifest;                           ///< in that store
};

/// kInvalidArgument for one that is made of several files. Blocks on the disk.
[[nodiscard]] Result<BaseModel> base_model(const catalog::ModelFile& file, const catalog::ModelSources& sources);

/// The same for one that is to get a second name in a store, which has no place for what models.toml says of a model:
/// kInvalidArgument, naming the settings, for one that is no store's and has some.
[[nodiscard]] Result<BaseModel> model_to_copy(const catalog::ModelFile& file, const catalog::ModelSources& sources);

/// What lies in `store` under this name. kNotFound when nothing does. Blocks on the disk.
[[nodiscard]] Result<BaseModel> base_of_store(const ModelStore& store, const catalog::OllamaName& name);

}  // namespace sutazai::store
