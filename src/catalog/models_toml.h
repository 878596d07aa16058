#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/model_file.h"
#include "catalog/model_profile.h"

/// models.toml: aliases, and settings of single models.
namespace sutazai::catalog {

/// [models.NAME]
struct ConfiguredModel {
    std::string name;
    std::string from;  ///< another model's name; empty: this is about the model that has the name anyway
    std::string path;  ///< instead of that, of a GGUF file
    std::optional<RemoteModel> remote = {};  ///< instead of that, one of another server's
    std::string template_file;  ///< whose text is to be profile.load.chat_template; read by whoever uses this
    ModelProfile profile;
    std::string place;  ///< "models.toml:12", for messages

    bool operator==(const ConfiguredModel&) const = default;
    /// Does it bring a model, rather than say something of one?
    [[nodiscard]] bool is_new() const { return !from.empty() || !path.empty() || remote; }
    /// Does it say what only whoever loads the model can do something about?
    [[nodiscard]] bool is_about_loading() const;
};

/// Keys of a model: from, upstream, upstream_model, upstream_key_env, context, kv_type, template, system, temperature,
/// top_k, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty, seed, max_tokens, stop, pinned,
/// keep_alive, adapters. Paths are taken from `folder`, the file's own. kInvalidArgument names file, line, key and what
/// is allowed; also for keys that are not known, and for draft, which is not built yet. Pure.
[[nodiscard]] Result<std::vector<ConfiguredModel>> parse_models_toml(std::string_view text, const std::string& folder);

inline constexpr std::string_view kModelsToml = "models.toml";

}  // namespace sutazai::catalog
