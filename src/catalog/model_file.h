#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/model_parts.h"
#include "base/upstream_address.h"
#include "catalog/model_profile.h"

namespace sutazai::catalog {

/// A model that another server has.
struct RemoteModel {
    std::string upstream;  ///< a name of UPSTREAMS; empty where models.toml gives the address
    std::string model;     ///< as the other server calls it
    std::optional<UpstreamAddress> address = {};
    std::string key_variable = {};  ///< of the environment, which holds the key for `address`; empty: none is needed

    bool operator==(const RemoteModel&) const = default;
};

/// A model as the catalogue has it: a file, or one of another server's.
struct ModelFile {
    std::string name;                  ///< as clients say it, for example "qwen2.5:3b"
    std::string path;                  ///< absolute path of the GGUF file; of a split model the first one
    std::uint64_t bytes = 0;           ///< of all its files
    std::int64_t modified_unix_s = 0;  ///< of the latest
    FileStamps stamps;                 ///< as they were seen; empty when a file is missing
    std::string problem;               ///< why it cannot be used; empty when that is not known
    /// What the weights are known by: "sha256:<hex>" in stores that say so, else the path.
    std::string weights;
    std::string engine;                           ///< engine_key(): names with the same one share an engine
    std::shared_ptr<const ModelProfile> profile;  ///< null: nothing is said of it
    bool in_store = false;                   ///< its name is Ollama's: letters have no case, and the tag is "latest"
    std::optional<RemoteModel> remote = {};  ///< then there is no path

    bool operator==(const ModelFile& other) const;
};

/// A look at the files of a model; nullopt when none of them is there.
[[nodiscard]] std::optional<ModelFile> look_at_model(const std::string& name, const std::string& path);

/// One that an upstream has; `name` as it is called here.
[[nodiscard]] ModelFile remote_model(std::string name, RemoteModel remote);

/// Lets a model that was just looked at take images.
void set_projector(ModelFile& model, std::string path);

/// Never null.
[[nodiscard]] const ModelProfile& profile_of(const ModelFile& model);

}  // namespace sutazai::catalog
