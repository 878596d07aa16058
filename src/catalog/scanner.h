#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "catalog/folder_watch.h"
#include "catalog/model_file.h"
#include "catalog/models_toml.h"
#include "catalog/ollama_store.h"

/// What the disk says of models.
namespace sutazai::catalog {

/// Where models are looked for. Of a name that is there twice: `named`, models.toml, the folder, the stores in their
/// order, the cache, `bundled`, the models of other servers.
struct ModelSources {
    std::map<std::string, std::string> named;    ///< name -> path, by --model
    std::string models_dir;                      ///< may be empty or not exist
    std::map<std::string, std::string> bundled;  ///< name -> path, of the product's own
    std::string preferred;                       ///< the default model, when it is not empty
    std::vector<std::string> ollama_stores;      ///< may not exist
    std::string model_store;                     ///< the one that is written to, before the others; may not exist yet
    std::string hf_cache;                        ///< may be empty or not exist
    std::string models_toml;                     ///< may be empty or not exist
    std::vector<std::string> upstreams = {};     ///< names of UPSTREAMS
};

/// What was found at one time.
struct Listing {
    std::vector<ModelFile> models;          ///< by name; only those of which at least something is there
    std::vector<std::string> folder_names;  ///< those that the folder brought
    std::vector<std::string> notes;         ///< sentences: whose name is not its file's, and why; what is hidden
    std::vector<std::string> fresh_notes;   ///< those that the listing before did not have
    bool unresolved = false;                ///< models.toml speaks of models that may yet come from the stores
    std::string config_problem;  ///< what is wrong with models.toml, whose last good version counts; or empty

    // Where to look names up, in `models`.
    std::unordered_map<std::string, std::size_t> by_store_name;  ///< by OllamaName::key()
    std::unordered_map<std::string, std::size_t> by_engine;      ///< the first one of that engine that can be used

    [[nodiscard]] bool same_content(const Listing& other) const;
    /// As it is; without or with ":latest"; and of those in stores under any spelling that Ollama knows. Null: none.
    [[nodiscard]] const ModelFile* find(std::string_view name) const;
};

/// Reads all sources, and remembers what makes the next look cheap. Blocks on the disk; one thread at a time.
class Scanner {
  public:
    /// Makes the paths absolute.
    explicit Scanner(ModelSources sources);
    [[nodiscard]] const ModelSources& sources() const { return sources_; }

    /// What other servers have, from the next scan on; of a name that is there twice the first one counts. Any thread.
    void set_remote(std::vector<RemoteModel> models);

    enum class Extent : std::uint8_t {
        kNear,  ///< all but the stores and the cache, which may hold thousands of small files
        kAll
    };
    /// The same object as before when nothing has changed. `watch`, unless it is null, hears of what changes from
    /// before it was read.
    [[nodiscard]] std::shared_ptr<const Listing> scan(Extent extent, FolderWatch* watch = nullptr);

  private:
    struct Round;
    void read_config(Round& round);

    ModelSources sources_;
    std::mutex remote_mutex_;
    std::vector<RemoteModel> remote_;
    std::vector<OllamaStore> stores_;
    std::vector<ConfiguredModel> config_;  // the last good one
    std::optional<FileStamp> config_stamp_;
    std::string config_problem_;
    std::shared_ptr<const Listing> last_;
    std::shared_ptr<const Listing> before_last_;  // so that nobody else is the last to hold one
};

}  // namespace sutazai::catalog
