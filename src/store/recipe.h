#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::store {

/// What a model is to be made of, as a Modelfile or a request says it. Plain values.
struct ModelRecipe {
    std::string from;                                        ///< a model; empty: `files`
    std::vector<std::pair<std::string, std::string>> files;  ///< names and digests of GGUF blobs
    /// LoRA files in place of the base's: names and digests of GGUF blobs, or paths (a Modelfile's, which is read where
    /// the files are; a request has none).
    std::vector<std::pair<std::string, std::string>> adapters;
    std::vector<std::string> adapter_files;
    std::string quantize;       ///< one of quantisations(); empty: as it is
    std::string chat_template;  ///< Ollama's; these here: empty: as the base has it
    std::string system;
    std::vector<std::string> licenses;                          ///< beside those of the base
    boost::json::object parameters;                             ///< checked; beside those of the base
    std::vector<std::pair<std::string, std::string>> messages;  ///< roles and contents; in place of the base's

    bool operator==(const ModelRecipe&) const = default;
};

}  // namespace sutazai::store
