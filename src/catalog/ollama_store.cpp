#include "catalog/ollama_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/small_file.h"
#include "catalog/model_names.h"
#include "catalog/ollama_layers.h"
#include "catalog/ollama_name.h"

namespace sutazai::catalog {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMostManifestBytes = 1 << 20;
/// Of a blob that is text.
constexpr std::size_t kMostLayerBytes = 4 << 20;
constexpr int kTagDepth = 4;  // host, namespace, model, tag

constexpr std::string_view kLayerPrefix = "application/vnd.ollama.image.";

std::unexpected<Error> refuse(std::string why) {
    return fail(ErrorCode::kLoadFailed, std::move(why));
}

std::string text_field(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(std::string_view(value->get_string())) : std::string();
}

/// A text of the manifest, for a message.
std::string shown(std::string_view text) {
    std::string out(text.substr(0, 80));
    std::ranges::replace_if(
        out, [](char c) { return c < ' ' || c > '~'; }, '?');
    return out;
}

/// The path of a blob, which is made of nothing but the folder and 64 digits.
Result<std::string> blob_path(const std::string& blobs, const json::object& layer, std::string_view what) {
    const std::string digest = text_field(layer, "digest");
    const auto digits = parse_blob_digest(digest);
    if (!digits) {
        return refuse(
            fmt::format("the digest \"{}\" of its {} is none (sha256: and 64 hex digits)", shown(digest), what));
    }
    return fmt::format("{}/sha256-{}", blobs, *digits);
}

Result<std::string> read_layer(const std::string& blobs, const json::object& layer, std::string_view what) {
    const auto path = blob_path(blobs, layer, what);
    if (!path) return std::unexpected(path.error());
    auto text = read_small_file(*path, kMostLayerBytes);
    if (text) return text;
    return refuse(
        fmt::format("the blob {} of its {} {}", path->substr(path->rfind('/') + 1), what, text.error().message));
}

Result<void> take_weights(const std::string& blobs, const json::object& layer, ModelFile& model) {
    if (!model.path.empty()) return refuse("it has several files of weights, which are not supported");
    auto path = blob_path(blobs, layer, "weights");
    if (!path) return std::unexpected(path.error());
    const std::string blob = path->substr(path->rfind('/') + 1);
    const auto stamp = stamp_of(*path);
    model.path = std::move(*path);
    model.weights = "sha256:" + blob.substr(blob.find('-') + 1);
    if (!stamp) return refuse(fmt::format("the blob {} of its weights is missing", blob));
    model.bytes = stamp->bytes;
    const json::value* size = layer.if_contains("size");
    const auto wanted = size != nullptr && size->is_int64() ? size->get_int64() : -1;
    if (wanted >= 0 && !std::cmp_equal(wanted, stamp->bytes)) {
        return refuse(fmt::format("the blob {} of its weights has {} bytes and should have {}: it is not whole", blob,
                                  stamp->bytes, wanted));
    }
    model.stamps = {*stamp};
    return {};
}

Result<void> take_adapter(const std::string& blobs, const json::object& layer, ModelProfile& profile) {
    auto path = blob_path(blobs, layer, "adapter");
    if (!path) return std::unexpected(path.error());
    const auto stamp = stamp_of(*path);
    if (!stamp) {
        return refuse(fmt::format("the blob {} of its adapter is missing", path->substr(path->rfind('/') + 1)));
    }
    std::vector<AdapterChoice>& all = profile.request.adapters;
    const std::string name = all.empty() ? "adapter" : fmt::format("adapter-{}", all.size() + 1);
    all.push_back({name, std::move(*path), 1});
    profile.adapter_bytes += stamp->bytes;
    return {};
}

Result<void> take_projector(const std::string& blobs, const json::object& layer, ModelProfile& profile) {
    auto path = blob_path(blobs, layer, "projector");
    if (!path) return std::unexpected(path.error());
    if (!stamp_of(*path)) {
        return refuse(fmt::format("the blob {} of its projector is missing", path->substr(path->rfind('/') + 1)));
    }
    if (!profile.load.projector.empty()) return refuse("it has several projectors, which are not supported");
    profile.load.projector = std::move(*path);
    return {};
}

Result<void> take_layer(const std::string& blobs, const json::object& layer, ModelFile& model, ModelProfile& profile) {
    const std::string type = text_field(layer, "mediaType");
    if (!type.starts_with(kLayerPrefix)) return {};
    const std::string kind = type.substr(kLayerPrefix.size());
    if (kind == "model") return take_weights(blobs, layer, model);
    if (kind == "draft") profile.facts.has_draft = true;
    if (kind == "adapter") return take_adapter(blobs, layer, profile);
    if (kind == "projector") return take_projector(blobs, layer, profile);
    if (kind == "tensor" || kind == "json") return refuse("its weights are safetensors; only GGUF can be read");
    if (kind != "system" && kind != "params" && kind != "template" && kind != "prompt" && kind != "messages") return {};
    auto text = read_layer(blobs, layer, kind);
    if (!text) return std::unexpected(text.error());
    if (kind == "params") return take_ollama_params(*text, profile);
    if (kind == "messages") return take_ollama_messages(*text, profile);
    if (kind == "system") {
        profile.request.system = std::move(*text);
    } else {
        (profile.facts.chose_template ? profile.load.chat_template : profile.load.fallback_template) = std::move(*text);
    }
    return {};
}

}  // namespace

Result<void> read_ollama_manifest(std::string_view text, const std::string& blobs, ModelFile& model) {
    boost::system::error_code error;
    const json::value parsed = json::parse({text.data(), text.size()}, error);
    if (error || !parsed.is_object()) return refuse("its manifest is no JSON object");
    const json::object& manifest = parsed.get_object();
    const json::value* layers = manifest.if_contains("layers");
    if (layers == nullptr || !layers->is_array()) {
        return refuse(manifest.contains("manifests") ? "it is a list of manifests, which is not supported"
                                                     : "its manifest has no layers");
    }
    ModelProfile profile;
    profile.load_hint =
        "Files of Ollama's own making are translated where docs/ollama-blobs.md says so; `ollama show` tells where "
        "this "
        "one came from, and a GGUF file from elsewhere may load";
    Result<void> result;
    const json::value* config = manifest.if_contains("config");
    if (config != nullptr && config->is_object() && !text_field(config->get_object(), "digest").empty()) {
        const auto described = read_layer(blobs, config->get_object(), "config");
        result = described ? take_ollama_config(*described, profile) : std::unexpected(described.error());
    }
    for (const json::value& layer : layers->get_array()) {
        auto taken = layer.is_object() ? take_layer(blobs, layer.get_object(), model, profile)
                                       : Result<void>(refuse("a layer of its manifest is no object"));
        if (!taken && result) result = std::move(taken);
    }
    take_renderer_template(profile);
    if (model.path.empty() && result) result = refuse("its manifest names no weights");
    if (!result) model.stamps.clear();
    model.profile = std::make_shared<const ModelProfile>(std::move(profile));
    return result;
}

OllamaStore::Found OllamaStore::scan(const FolderVisitor& visit) {
    Found found;
    seen_.clear();
    read_folder(root_ + "/manifests", "", 1, visit, found);
    std::erase_if(known_, [this](const auto& entry) { return !seen_.contains(entry.first); });
    return found;
}

void OllamaStore::read_folder(const std::string& folder, const std::string& relative, int depth,
                              const FolderVisitor& visit, Found& found) {
    if (visit) visit(folder);
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with('.')) continue;
        const std::string path = relative.empty() ? name : fmt::format("{}/{}", relative, name);
        std::error_code no_type;
        if (entry->is_directory(no_type)) {
            if (depth < kTagDepth) read_folder(fmt::format("{}/{}", folder, name), path, depth + 1, visit, found);
        } else if (depth == kTagDepth) {
            read_manifest(path, found);
        }
    }
}

void OllamaStore::read_manifest(const std::string& relative, Found& found) {
    const auto name = ollama_name_from_path(relative);
    std::string shortest = name ? name->shortest() : std::string();
    if (!name || !is_valid_model_name(shortest)) {
        found.notes.push_back(fmt::format("the manifest {} of the Ollama store {} has a name that no model may have",
                                          shown(relative), root_));
        return;
    }
    const std::string path = root_ + "/manifests/" + relative;
    const auto stamp = stamp_of(path);
    if (!stamp) return;  // gone meanwhile, or no file
    seen_.insert(relative);
    Known& known = known_[relative];
    // Blobs never change; but one that was missing may have come.
    if (known.manifest == *stamp && known.model.problem.empty()) {
        const auto weights = stamp_of(known.model.path);
        if (weights && *weights == known.model.stamps.front()) {
            found.models.push_back(known.model);
            return;
        }
    }
    known.manifest = *stamp;
    ModelFile& model = known.model = {.name = std::move(shortest), .in_store = true};
    model.modified_unix_s = stamp->modified_ns / 1'000'000'000;
    const auto text = read_small_file(path, kMostManifestBytes);
    const auto read = text ? read_ollama_manifest(*text, root_ + "/blobs", model)
                           : Result<void>(refuse("its manifest " + text.error().message));
    if (!read) model.problem = read.error().message;
    model.engine = engine_key(model.weights, profile_of(model).load);
    found.models.push_back(model);
}

}  // namespace sutazai::catalog
