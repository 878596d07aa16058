#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/model_file.h"
#include "catalog/ollama_store.h"

/// GGUF files in the Hugging Face cache: models--<org>--<repo>/snapshots/<revision>/<file>, links into blobs/. Only
/// read.
namespace sutazai::catalog {

struct HfNamed {
    std::string name;  ///< hf.co/<org>/<repo>:<tag>
    std::string file;  ///< within the snapshot; the first of a split model

    bool operator==(const HfNamed&) const = default;
};

/// Names for the files of one revision. The tag is the quantisation as llama.cpp finds it in the file's name: what
/// stands behind the last "-" or ".", in capital letters ("Q4_K_M"). Of several files of one quantisation the one with
/// the shortest path has it, the first by name of equally short ones; the others, and files without any, have their own
/// name without ".gguf", in which what no name may have is "-". Files beside a model (projectors, importance matrices,
/// heads for speculation) are left out. Pure.
[[nodiscard]] std::vector<HfNamed> name_hf_files(std::string_view repo, std::vector<std::string> files);

/// Which of a repository's tags stands for the repository itself, as llama.cpp has it: Q4_K_M, else Q8_0, else the
/// first. `named` is not empty. Pure.
[[nodiscard]] const HfNamed& hf_default(const std::vector<HfNamed>& named);

struct HfFound {
    std::vector<ModelFile> models;
    std::vector<std::string> defaults;  ///< of each repository, the name that stands for it
    std::vector<std::string> notes;
};
/// Every repository of the cache at `root` with the revision that refs/main names, or else the first by name that has
/// GGUF files. Links that lead out of the cache are not followed. Blocks on the disk; any thread.
[[nodiscard]] HfFound scan_hf_cache(const std::string& root, const FolderVisitor& visit);

}  // namespace sutazai::catalog
