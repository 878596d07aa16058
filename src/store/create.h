#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/work_progress.h"
#include "catalog/catalog.h"
#include "catalog/ollama_name.h"
#include "store/base_model.h"
#include "store/model_store.h"
#include "store/recipe.h"

/// Making and removing models by name. Blocks on the disk, for as long as that takes; any thread.
namespace sutazai::store {

/// What a long piece of work is done with.
struct WorkContext {
    std::stop_token stop;
    ProgressSink tell;
};

/// Makes weights of another type out of a GGUF file, into the store. kCancelled when it was stopped.
using Quantiser = std::function<Result<StoredBlob>(const ModelStore& store, const std::filesystem::path& weights,
                                                   const std::string& type, const WorkContext& work)>;

/// Makes the model `name`, or another one under that name, and tells of each step in Ollama's words. `base` is what
/// `recipe.from` names; without it the weights are `recipe.files`, blobs of the store. Errors name the field of the
/// recipe.
[[nodiscard]] Result<void> create_model(const ModelStore& store, const catalog::OllamaName& name,
                                        const ModelRecipe& recipe, const std::optional<BaseModel>& base,
                                        const Quantiser& quantise, const WorkContext& work);

/// `base` under another name: what a store says of it goes with it.
[[nodiscard]] Result<void> copy_model(const ModelStore& store, const BaseModel& base, const catalog::OllamaName& to,
                                      const WorkContext& work);

/// Of this store. kInvalidArgument, with the place and the way out, where the name is that of one that lies elsewhere,
/// whether there is one of the store behind it or not; kNotFound when there is none. `holder` is what answers to the
/// name in the catalogue.
[[nodiscard]] Result<void> remove_model(const ModelStore& store, const std::string& name,
                                        const std::optional<catalog::ModelFile>& holder);

/// The name that a model is to get: one that a store and the catalogue have a place for. kInvalidArgument, naming the
/// field.
[[nodiscard]] Result<catalog::OllamaName> new_model_name(const std::string& name, const std::string& field);

/// kInvalidArgument, naming the field, where a model that is no store's answers to the name: it would go on doing so,
/// and the new one would never be heard.
[[nodiscard]] Result<void> check_name_is_free(const catalog::Catalog& catalog, const catalog::OllamaName& name,
                                              const std::string& field);

/// Puts a file of somebody's into the store.
[[nodiscard]] Result<StoredBlob> take_file(const ModelStore& store, const std::filesystem::path& file,
                                           const WorkContext& work);

}  // namespace sutazai::store
