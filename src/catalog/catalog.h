#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/model_parts.h"

/// Names to files.
namespace sutazai::catalog {

struct ModelFile {
    std::string name;                  ///< as clients say it, for example "qwen2.5:3b"
    std::string path;                  ///< absolute path of the GGUF file; of a split model the first one
    std::uint64_t bytes = 0;           ///< of all its files
    std::int64_t modified_unix_s = 0;  ///< of the latest
    FileStamps stamps;                 ///< as they were seen; empty when a file is missing
    std::string problem;               ///< why it cannot be used; empty when that is not known

    bool operator==(const ModelFile&) const = default;
};

/// Where models are looked for.
struct ModelSources {
    std::map<std::string, std::string> named;    ///< name -> path, by --model
    std::string models_dir;                      ///< may be empty or not exist
    std::map<std::string, std::string> bundled;  ///< name -> path, of the product's own
    std::string preferred;                       ///< the default model, when it is not empty
};

/// What was found at one time.
struct Listing {
    std::vector<ModelFile> models;          ///< by name; only those of which at least one file is there
    std::vector<std::string> folder_names;  ///< those that the folder brought
    std::vector<std::string> notes;         ///< sentences: whose name is not its file's, and why; what is hidden

    bool operator==(const Listing&) const = default;
};

/// Reads the folder and looks at each file. Blocks on the disk; any thread.
[[nodiscard]] Listing scan(const ModelSources& sources);

/// The models of this server: those named with --model name=path, those of the models folder, and the bundled default.
/// Kept in memory; refresh() looks again. Names are looked up, never joined to a path (CVE-2024-37032). Not
/// thread-safe.
///
/// A file of the folder is offered under its name without ".gguf" (in any case), a split model without
/// "-00001-of-00003" too. Where that is no valid model name, each run of characters that no name may have becomes "-"
/// (none at the ends), ".." becomes ".": "Llama 3 (8B).gguf" is "Llama-3-8B". When two files would have one name, a
/// file whose own name it is keeps it; each of the others gets "-" and six hex digits made of its file name, so that a
/// name never comes to mean another file unless that file is really called so. Names that begin with "." are hidden.
/// Where a name is there twice, `named` comes before the folder, the folder before `bundled`.
class Catalog {
  public:
    explicit Catalog(ModelSources sources);
    Catalog(std::map<std::string, std::string> named, std::string models_dir,
            std::map<std::string, std::string> bundled, std::string preferred = {});

    /// Looks at the disk, on this thread.
    void refresh() { (void)replace(scan(sources_)); }
    /// Takes what scan(sources()) has found, perhaps on another thread. Returns the notes that are new.
    std::vector<std::string> replace(Listing listing);
    [[nodiscard]] const ModelSources& sources() const { return sources_; }
    /// Another number when the listing is another one.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

    /// kNotFound names models that exist, or says that the file is gone; kInvalidArgument when `name` is no valid model
    /// name; kLoadFailed when a part is missing.
    [[nodiscard]] Result<ModelFile> find(std::string_view name) const;
    [[nodiscard]] const std::vector<ModelFile>& list() const { return listing_.models; }  ///< by name
    [[nodiscard]] const std::vector<std::string>& notes() const { return listing_.notes; }
    /// The model that a request without "model" gets: `preferred`, else the only named one, else the only one of the
    /// folder, else the bundled one; empty when there is none.
    [[nodiscard]] std::string default_model() const;

  private:
    ModelSources sources_;  // paths are absolute
    Listing listing_;
    std::uint64_t generation_ = 0;
};

/// One to 200 characters of [A-Za-z0-9._:/-], starting with a letter, digit or underscore, without "..".
[[nodiscard]] bool is_valid_model_name(std::string_view name);

}  // namespace sutazai::catalog
