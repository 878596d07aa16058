#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "artifact/fingerprint.h"

/// `sutazai cache export FILE` and `sutazai cache import FILE`: they work on the artifact folder, with or without a
/// server running on it.
namespace sutazai::cli {

/// Adds both to the command "cache" of `parent`, which is made when it is not there. `flags` gets the settings given,
/// `action` what is to be done; both outlive the parsing.
void add_cache_file_commands(CLI::App& parent, std::map<std::string, std::string>& flags, std::function<int()>& action);

/// What an import knows of this machine.
struct ImportContext {
    std::vector<artifact::Fingerprint> local;  ///< of the artifact folder: made by engines as they run here
    artifact::FingerprintParts build;          ///< llama_version and llama_state_version count
    /// The model here whose file holds weights of this digest (64 hex digits), or "".
    std::function<std::string(const std::string& weights, const std::string& architecture)> model_of;
};

/// Why artifacts of `found` are of no use here, as a sentence; "" when they can be used: the same versions, weights
/// that a model here has, and the settings that this model's engines used here, if there are artifacts of theirs.
[[nodiscard]] std::string import_refusal(const artifact::Fingerprint& found, const ImportContext& context);

}  // namespace sutazai::cli
