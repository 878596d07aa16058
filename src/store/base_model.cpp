#include "store/base_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <utility>
#include <vector>

#include "base/model_parts.h"

namespace sutazai::store {

namespace fs = std::filesystem;

namespace {

/// The store that the file is a blob of.
std::optional<std::string> store_of(const std::string& path, const catalog::ModelSources& sources) {
    std::vector<std::string> roots = sources.ollama_stores;
    roots.insert(roots.begin(), sources.model_store);
    for (const std::string& root : roots) {
        if (!root.empty() && path.starts_with(root + "/blobs/")) return root;
    }
    return std::nullopt;
}

/// What is said of a model beside its weights, in the words of models.toml.
std::vector<std::string_view> settings_of(const catalog::ModelProfile& profile) {
    std::vector<std::string_view> out;
    const auto add = [&out](bool said, std::string_view name) {
        if (said) out.push_back(name);
    };
    const catalog::LoadChoices& load = profile.load;
    const catalog::RequestDefaults& request = profile.request;
    add(load.context_tokens > 0 || load.least_context_tokens > 0, "context");
    add(!load.kv_type.empty(), "kv_type");
    add(!load.chat_template.empty() || !load.fallback_template.empty(), "template");
    add(request.system.has_value(), "system");
    add(!request.messages.empty(), "messages");
    add(request.temperature.has_value(), "temperature");
    add(request.top_k.has_value(), "top_k");
    add(request.top_p.has_value(), "top_p");
    add(request.min_p.has_value(), "min_p");
    add(request.repeat_penalty.has_value(), "repeat_penalty");
    add(request.presence_penalty.has_value(), "presence_penalty");
    add(request.frequency_penalty.has_value(), "frequency_penalty");
    add(request.seed.has_value(), "seed");
    add(request.max_tokens.has_value(), "max_tokens");
    add(request.stop.has_value(), "stop");
    add(!request.adapters.empty(), "adapters");
    return out;
}

}  // namespace

Result<BaseModel> base_model(const catalog::ModelFile& file, const catalog::ModelSources& sources) {
    if (file.remote) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("the model \"{}\" is another server's, so that there are no weights of it here", file.name),
            "from");
    }
    if (parse_part_name(fs::path(file.path).filename().string())) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the model \"{}\" is made of several files, which a store has no place for; "
                                "`llama-gguf-split --merge` makes one of them",
                                file.name),
                    "from");
    }
    BaseModel out{.name = file.name, .weights = file.path, .digest = parse_digest(file.weights)};
    const auto root = store_of(file.path, sources);
    const auto name = catalog::parse_ollama_name(file.name);
    if (!root || !name) return out;
    // An alias has the weights, but is no name of the store.
    const auto text = ModelStore(*root).read_manifest(*name);
    if (!text) return out;
    auto manifest = parse_manifest(*text);
    if (!manifest || manifest->find("model") == nullptr || manifest->find("model")->digest != out.digest) return out;
    out.store = *root;
    out.manifest = std::move(*manifest);
    return out;
}

Result<BaseModel> model_to_copy(const catalog::ModelFile& file, const catalog::ModelSources& sources) {
    auto base = base_model(file, sources);
    if (!base || base->store) return base;
    const std::string lost = fmt::format("{}", fmt::join(settings_of(catalog::profile_of(file)), ", "));
    if (lost.empty()) return base;
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("\"{}\" has settings that are not a store's ({}), which a copy would not have. Copy the model "
                    "that it stands for, or give it a second name in models.toml",
                    file.name, lost),
        "source");
}

Result<BaseModel> base_of_store(const ModelStore& store, const catalog::OllamaName& name) {
    const auto text = store.read_manifest(name);
    if (!text) return std::unexpected(text.error());
    auto manifest = parse_manifest(*text);
    if (!manifest) return std::unexpected(std::move(manifest.error()));
    const Layer* const weights = manifest->find("model");
    if (weights == nullptr) return fail(ErrorCode::kInvalidArgument, "that model has no weights", "from");
    BaseModel out{.name = name.shortest(), .weights = store.blob_path(weights->digest), .digest = weights->digest};
    out.store = store.root();
    out.manifest = std::move(*manifest);
    return out;
}

}  // namespace sutazai::store
