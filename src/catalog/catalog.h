#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/model_file.h"
#include "catalog/model_names.h"
#include "catalog/scanner.h"

/// Names to files.
namespace sutazai::catalog {

/// The models of this server: those named with --model name=path, those of models.toml, of the models folder, of
/// Ollama's stores and of the Hugging Face cache, and the bundled default. Kept in memory; refresh() looks again. Names
/// are looked up, never joined to a path (CVE-2024-37032). Not thread-safe.
///
/// A file of the folder is offered under its name without ".gguf" (in any case), a split model without
/// "-00001-of-00003" too. Where that is no valid model name, each run of characters that no name may have becomes "-"
/// (none at the ends), ".." becomes ".": "Llama 3 (8B).gguf" is "Llama-3-8B". When two files would have one name, a
/// file whose own name it is keeps it; each of the others gets "-" and six hex digits made of its file name, so that a
/// name never comes to mean another file unless that file is really called so. Names that begin with "." are hidden.
class Catalog {
  public:
    /// Looks at the disk, on this thread; of kNear sources only, when a scan of all is to follow.
    explicit Catalog(ModelSources sources, Scanner::Extent extent = Scanner::Extent::kAll);
    Catalog(std::map<std::string, std::string> named, std::string models_dir,
            std::map<std::string, std::string> bundled, std::string preferred = {});

    /// Looks at the disk, on this thread.
    void refresh() { replace(scanner_->scan(Scanner::Extent::kAll)); }
    /// For looking at the disk elsewhere, by one thread at a time.
    [[nodiscard]] const std::shared_ptr<Scanner>& scanner() const { return scanner_; }
    /// Takes what the scanner has found.
    void replace(std::shared_ptr<const Listing> listing);
    [[nodiscard]] const ModelSources& sources() const { return scanner_->sources(); }
    /// Another number when the listing is another one; never 0.
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

    /// By a name of the list, or by what stands for it: "name" is "name:latest", and names of stores have no case and
    /// need neither Ollama's host nor its namespace. kNotFound names models that exist, or says that the file is gone;
    /// kInvalidArgument when `name` is no valid model name; kLoadFailed, with the reason, for what cannot be used.
    [[nodiscard]] Result<ModelFile> find(std::string_view name) const;
    /// Whoever answers to this name, whether it can be used or not; null for nobody.
    [[nodiscard]] const ModelFile* holder(std::string_view name) const { return listing_->find(name); }
    /// A model that can be used and has this engine_key(), if possible with the file at `path`; null when there is none
    /// (any more).
    [[nodiscard]] const ModelFile* find_engine(const std::string& engine, std::string_view path = {}) const;
    [[nodiscard]] const std::vector<ModelFile>& list() const { return listing_->models; }  ///< by name
    [[nodiscard]] const std::vector<std::string>& notes() const { return listing_->notes; }
    /// Those that the listing before did not have.
    [[nodiscard]] const std::vector<std::string>& fresh_notes() const { return listing_->fresh_notes; }
    /// What is wrong with models.toml, whose last good version counts; empty when all is well.
    [[nodiscard]] const std::string& config_problem() const { return listing_->config_problem; }
    /// Does models.toml speak of models that may yet come with the next scan?
    [[nodiscard]] bool is_unresolved() const { return listing_->unresolved; }
    /// The model that a request without "model" gets: `preferred`, else the only named one, else the only one of the
    /// folder, else the bundled one; empty when there is none.
    [[nodiscard]] std::string default_model() const;

  private:
    std::shared_ptr<Scanner> scanner_;
    std::shared_ptr<const Listing> listing_;  // never null
    std::uint64_t generation_ = 1;
};

}  // namespace sutazai::catalog
