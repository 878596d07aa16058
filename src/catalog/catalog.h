#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Names to files.
namespace sutazai::catalog {

struct ModelFile {
    std::string name;  ///< as clients say it, for example "qwen2.5:3b"
    std::string path;  ///< absolute path of the GGUF file
    std::uint64_t bytes = 0;
    std::int64_t modified_unix_s = 0;
};

/// The models of this server: those named with --model name=path, those of the models folder (file name without
/// ".gguf"), and the bundled default. Reads the folder again at each call of list() and find(), so that a file put
/// there is found without a restart. Names are looked up, never joined to a path (CVE-2024-37032). Not thread-safe.
class Catalog {
  public:
    /// `named` and `bundled`: name -> path. `models_dir` may be empty or not exist. Where a name is there twice,
    /// `named` comes before the folder, the folder before `bundled`. `preferred` is the default model when it is not
    /// empty.
    Catalog(std::map<std::string, std::string> named, std::string models_dir,
            std::map<std::string, std::string> bundled, std::string preferred = {});

    /// kNotFound names the models that exist, or says that the file is gone; kInvalidArgument when `name` is no valid
    /// model name.
    [[nodiscard]] Result<ModelFile> find(std::string_view name) const;
    [[nodiscard]] std::vector<ModelFile> list() const;  ///< by name; only those whose file is there
    /// The model that a request without "model" gets: `preferred`, else the only named one, else the only one of the
    /// folder, else the bundled one; empty when there is none.
    [[nodiscard]] std::string default_model() const;

  private:
    /// Every name with its path, whether the file is there or not.
    [[nodiscard]] std::map<std::string, std::string> all() const;

    std::map<std::string, std::string> named_;
    std::string models_dir_;
    std::map<std::string, std::string> bundled_;
    std::string preferred_;
};

/// One to 200 characters of [A-Za-z0-9._:/-], starting with a letter, digit or underscore, without "..".
[[nodiscard]] bool is_valid_model_name(std::string_view name);

}  // namespace sutazai::catalog
