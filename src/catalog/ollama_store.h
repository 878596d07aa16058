#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "catalog/model_file.h"

/// The models of an Ollama store, as `ollama pull` and `ollama create` leave it: manifests/<host>/<namespace>/<model>/
/// <tag> and blobs/sha256-<64 hex digits>. Only read, never written.
namespace sutazai::catalog {

/// Called with each folder before it is read.
using FolderVisitor = std::function<void(const std::string& folder)>;

/// One store, and what is known of it from the last look, so that the next one reads only manifests that are new.
/// One thread at a time.
class OllamaStore {
  public:
    /// `root` holds the folders manifests and blobs.
    explicit OllamaStore(std::string root) : root_(std::move(root)) {}

    struct Found {
        std::vector<ModelFile> models;   ///< in no order; of those that cannot be used, `problem` says why
        std::vector<std::string> notes;  ///< sentences about what is no model
    };
    /// Every manifest of the store is a model, under the shortest name that Ollama has for it. What its layers say
    /// (system, params, template, messages) are the model's defaults. Blobs are found by their digests alone, which are
    /// validated; nothing outside the store is named by it. Blocks on the disk.
    [[nodiscard]] Found scan(const FolderVisitor& visit);
    [[nodiscard]] const std::string& root() const { return root_; }

  private:
    struct Known {
        FileStamp manifest;
        ModelFile model;
    };
    void read_folder(const std::string& folder, const std::string& relative, int depth, const FolderVisitor& visit,
                     Found& found);
    void read_manifest(const std::string& relative, Found& found);

    std::string root_;
    std::unordered_map<std::string, Known> known_;  // by manifest
    std::unordered_set<std::string> seen_;          // manifests, in this scan
};

/// What a manifest says, its blobs read from the folder `blobs`. kLoadFailed with the reason why it cannot be used;
/// `model` then holds what is known all the same. For OllamaStore, and for tests that feed it with nonsense.
[[nodiscard]] Result<void> read_ollama_manifest(std::string_view text, const std::string& blobs, ModelFile& model);

}  // namespace sutazai::catalog
