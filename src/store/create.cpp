#include "store/create.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/byte_text.h"
#include "base/small_file.h"
#include "catalog/gguf_file.h"
#include "catalog/model_names.h"
#include "catalog/ollama_layers.h"
#include "gguf/byte_reader.h"
#include "gguf/outline.h"
#include "store/quantisations.h"
#include "text/go_template.h"

namespace sutazai::store {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::size_t kMostLayerBytes = 4 << 20;

std::string type_of(std::string_view kind) {
    return std::string(kLayerTypePrefix) + std::string(kind);
}

/// Tells of one file as it is worked off.
Advance advance_of(const WorkContext& work, std::string status, std::string digest, std::uint64_t total) {
    return [&work, done = std::uint64_t{0}, status = std::move(status), digest = std::move(digest),
            total](std::uint64_t more) mutable {
        done += more;
        work.tell({status, digest, total, done});
        return !work.stop.stop_requested();
    };
}

json::object object_in(std::string_view text) {
    boost::system::error_code error;
    json::value value = json::parse({text.data(), text.size()}, error);
    return !error && value.is_object() ? std::move(value.get_object()) : json::object();
}

/// Any file, as it is.
Result<StoredBlob> take_bytes(const ModelStore& store, const fs::path& file, const WorkContext& work) {
    const File source(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!source.is_open()) return std::unexpected(disk_error(file.string() + " cannot be opened", errno));
    std::error_code error;
    const std::uint64_t bytes = fs::file_size(file, error);
    auto writer = store.new_blob();
    if (!writer) return std::unexpected(std::move(writer.error()));
    auto copied = add_file(*writer, source,
                           advance_of(work, fmt::format("copying file {}", file.filename().string()), "", bytes));
    if (!copied) return std::unexpected(std::move(copied.error()));
    return writer->commit();
}

/// A model in the making: its layers, each of them held.
class Draft {
  public:
    Draft(const ModelStore& store, const WorkContext& work) : store_(store), work_(work) {}

    /// All that a store says of a model, but for the weights if there are others already.
    Result<void> take_base(const BaseModel& base) {
        const fs::path blobs = *base.store / "blobs";
        const bool has_weights = manifest.find("model") != nullptr;
        for (const Layer& layer : base.manifest.layers) {
            if (has_weights && layer.media_type == type_of("model")) continue;
            auto held = store_.adopt_blob(layer.digest, blob_path(blobs, layer.digest), copying(layer));
            if (!held) return std::unexpected(std::move(held.error()));
            work_.tell({fmt::format("using existing layer {}", to_text(layer.digest))});
            manifest.layers.push_back(layer);
            holds_.push_back(std::move(*held));
        }
        if (!base.manifest.config) return {};
        auto config = read_small_file(blob_path(blobs, base.manifest.config->digest).string(), kMostLayerBytes);
        if (config) config_ = object_in(*config);
        return {};
    }

    /// Weights that no store describes.
    Result<void> take_weights(const BaseModel& base) {
        if (!base.digest) {
            auto taken = take_file(store_, base.weights, work_);
            if (!taken) return std::unexpected(std::move(taken.error()));
            add("model", std::move(*taken));
            return {};
        }
        Layer layer{type_of("model"), *base.digest, 0};
        std::error_code error;
        layer.bytes = fs::file_size(base.weights, error);
        auto held = store_.adopt_blob(layer.digest, base.weights, copying(layer));
        if (!held) return std::unexpected(std::move(held.error()));
        add("model", std::move(*held));
        return {};
    }

    void add(std::string_view kind, StoredBlob blob) {
        manifest.layers.push_back({type_of(kind), blob.digest, blob.bytes});
        holds_.push_back(std::move(blob));
    }

    Result<void> add_text(std::string_view kind, std::string_view text) {
        if (text.size() > kMostLayerBytes) {
            const std::string field(kind == "params" ? "parameters" : kind);
            return fail(
                ErrorCode::kInvalidArgument,
                fmt::format("{} takes {} bytes; at most {} are read of a model", field, text.size(), kMostLayerBytes),
                field);
        }
        auto blob = put(text);
        if (!blob) return std::unexpected(std::move(blob.error()));
        // A licence of the base, said again.
        const bool is_there = std::ranges::any_of(manifest.layers, [&](const Layer& layer) {
            return layer.media_type == type_of(kind) && layer.digest == blob->digest;
        });
        if (!is_there) add(kind, std::move(*blob));
        return {};
    }

    Result<void> replace_text(std::string_view kind, std::string_view text) {
        remove(kind);
        return add_text(kind, text);
    }

    Result<void> choose_template(std::string_view text) {
        config_[catalog::kTemplateIsChosen] = true;
        return replace_text("template", text);
    }

    void remove(std::string_view kind) {
        std::erase_if(manifest.layers, [&](const Layer& layer) { return layer.media_type == type_of(kind); });
    }

    /// What the layer of that kind holds.
    [[nodiscard]] json::object object_of(std::string_view kind) const {
        const Layer* layer = manifest.find(kind);
        if (layer == nullptr) return {};
        const auto text = read_small_file(store_.blob_path(layer->digest).string(), kMostLayerBytes);
        return text ? object_in(*text) : json::object();
    }

    [[nodiscard]] fs::path weights() const { return store_.blob_path(manifest.find("model")->digest); }

    Result<void> describe() {
        const auto summary = catalog::read_gguf_summary(weights().string());
        if (!summary) return std::unexpected(summary.error());
        json::object& config = config_;
        config["model_format"] = "gguf";
        config["model_family"] = summary->architecture;
        config["model_families"] = json::array{json::string(summary->architecture)};
        config["model_type"] = human_number(summary->parameters);
        config["file_type"] = summary->file_type ? catalog::file_type_name(*summary->file_type) : "";
        config["architecture"] = "amd64";
        config["os"] = "linux";
        json::array diffs;
        for (const Layer& layer : manifest.layers) diffs.push_back(json::string(to_text(layer.digest)));
        config["rootfs"] = {{"type", "layers"}, {"diff_ids", std::move(diffs)}};
        auto blob = put(json::serialize(config));
        if (!blob) return std::unexpected(std::move(blob.error()));
        manifest.config = Layer{std::string(kConfigType), blob->digest, blob->bytes};
        holds_.push_back(std::move(*blob));
        return {};
    }

    Manifest manifest;

  private:
    Result<StoredBlob> put(std::string_view text) {
        auto writer = store_.new_blob();
        if (!writer) return std::unexpected(std::move(writer.error()));
        if (auto added = writer->add(text); !added) return std::unexpected(std::move(added.error()));
        auto blob = writer->commit();
        if (blob) work_.tell({fmt::format("creating new layer {}", to_text(blob->digest))});
        return blob;
    }

    Advance copying(const Layer& layer) const {
        return advance_of(work_, fmt::format("copying {}", to_hex(Bytes(layer.digest)).substr(0, 12)),
                          to_text(layer.digest), layer.bytes);
    }

    const ModelStore& store_;
    const WorkContext& work_;
    std::vector<StoredBlob> holds_;
    json::object config_;
};

/// Blobs that clients have sent: one file of weights, perhaps with a projector beside it.
Result<void> take_files(Draft& draft, const ModelStore& store, const ModelRecipe& recipe, const WorkContext& work) {
    work.tell({"parsing GGUF"});
    for (const auto& [name, digest_text] : recipe.files) {
        const auto refuse = [&](std::string_view why) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("the file \"{}\" {}", name, why), "files");
        };
        const auto digest = parse_digest(digest_text);
        if (!digest) return refuse("has no digest (sha256: and 64 hex digits)");
        auto hold = store.hold(*digest);
        if (!hold) return refuse(fmt::format("is not there: send it to /api/blobs/{} first", to_text(*digest)));
        const auto summary = catalog::read_gguf_summary(store.blob_path(*digest).string());
        if (!summary) return refuse("cannot be used: " + summary.error().message);
        if (summary->split_count > 1) {
            return refuse("is a part of a model; `llama-gguf-split --merge` makes one file of all");
        }
        const char* const kind = summary->architecture == "clip" ? "projector" : "model";
        if (draft.manifest.find(kind) != nullptr) return refuse("is a second one; a model has one file of weights");
        const std::uint64_t bytes = hold->bytes();
        draft.add(kind, StoredBlob{*digest, bytes, std::move(*hold)});
    }
    if (draft.manifest.find("model") != nullptr) return {};
    return fail(ErrorCode::kInvalidArgument, "files: none of them is a model's weights", "files");
}

/// Are these weights to be made into others? They may be of that type already.
Result<bool> must_quantise(const fs::path& weights, const std::string& type) {
    if (type.empty()) return false;
    const auto summary = catalog::read_gguf_summary(weights.string());
    if (!summary) return std::unexpected(summary.error());
    const std::string now = summary->file_type ? catalog::file_type_name(*summary->file_type) : "";
    if (now == type) return false;
    if (is_unquantised(now)) return true;
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("quantization is only supported for F32, F16 and BF16 models: these weights are {}, and what "
                    "that has lost does not come back",
                    now.empty() ? "of no known type" : now),
        "quantize");
}

/// The weights first, then what is said of them.
Result<void> take_model(Draft& draft, const ModelStore& store, const ModelRecipe& recipe,
                        const std::optional<BaseModel>& base, const Quantiser& quantise, const WorkContext& work) {
    if (!base) {
        if (auto taken = take_files(draft, store, recipe, work); !taken) return taken;
    }
    const fs::path weights = base ? base->weights : draft.weights();
    const auto must = must_quantise(weights, recipe.quantize);
    if (!must) return std::unexpected(must.error());
    if (*must) {
        // Straight from where they lie: they are not needed in the store.
        auto made = quantise(store, weights, recipe.quantize, work);
        if (!made) return std::unexpected(std::move(made.error()));
        draft.remove("model");
        draft.add("model", std::move(*made));
    }
    if (base && base->store) return draft.take_base(*base);
    return base && !*must ? draft.take_weights(*base) : Result<void>();
}

/// Jinja is known only when a model is loaded.
Result<void> check_template(const std::string& its) {
    if (its.empty() || its.find("{%") != std::string::npos) return {};
    const auto made = text::GoTemplate::parse(its);
    if (!made) return fail(ErrorCode::kInvalidArgument, "template: " + made.error().message, "template");
    if (made->uses("Messages") || made->uses("Prompt")) return {};
    return fail(ErrorCode::kInvalidArgument, "template: it writes neither .Messages nor .Prompt", "template");
}

/// kInvalidArgument for what is no LoRA in GGUF. Whether it is one for these weights turns out when it is used.
Result<void> check_adapter(const fs::path& file, std::string_view name) {
    const auto refuse = [&](const std::string& why) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("the adapter \"{}\" {}", name, why), "adapters");
    };
    std::error_code error;
    if (fs::is_directory(file, error) || name.ends_with(".safetensors")) {
        return refuse("is no GGUF file; llama.cpp's convert_lora_to_gguf.py makes one of safetensors");
    }
    auto opened = gguf::open_model_file(file.string());
    if (!opened) return refuse("cannot be used: " + opened.error().message);
    const auto outline = gguf::read_outline(opened->in, opened->size);
    if (!outline) return refuse("cannot be used: " + outline.error().message);
    if (outline->text("general.type") == "adapter" && outline->text("adapter.type") == "lora") return {};
    return refuse("is no LoRA adapter");
}

/// In place of those that the base has.
Result<void> take_adapters(Draft& draft, const ModelStore& store, const ModelRecipe& recipe, const WorkContext& work) {
    if (!recipe.adapters.empty() || !recipe.adapter_files.empty()) draft.remove("adapter");
    for (const auto& [name, digest_text] : recipe.adapters) {
        const auto digest = parse_digest(digest_text);
        auto hold = digest ? store.hold(*digest) : std::nullopt;
        if (!hold) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("the adapter \"{}\" is not there: send it to /api/blobs/sha256:... first", name),
                        "adapters");
        }
        if (auto is_one = check_adapter(store.blob_path(*digest), name); !is_one) return is_one;
        const std::uint64_t bytes = hold->bytes();
        draft.add("adapter", StoredBlob{*digest, bytes, std::move(*hold)});
    }
    for (const std::string& file : recipe.adapter_files) {
        auto taken = take_bytes(store, file, work);
        if (!taken) return std::unexpected(std::move(taken.error()));
        draft.add("adapter", std::move(*taken));
    }
    return {};
}

/// Of a model that is no store's.
std::string whose(const catalog::ModelFile& file) {
    if (file.remote) {
        return file.remote->upstream.empty() ? "a model of another server, which models.toml names"
                                             : fmt::format("a model of the upstream '{}'", file.remote->upstream);
    }
    return file.path.empty() ? "a model of models.toml" : fmt::format("the model {}", file.path);
}

/// A spelling that no model of another place has.
std::string unmistakable(const catalog::OllamaName& name) {
    std::string out = name.shortest();
    const bool is_short = out.find('/') == std::string::npos;
    return is_short ? fmt::format("{}/{}", name.name_space, out) : name.full();
}

Result<void> take_texts(Draft& draft, const ModelRecipe& recipe) {
    Result<void> done;
    if (!recipe.chat_template.empty()) {
        draft.remove("prompt");  // its name in older versions
        done = draft.choose_template(recipe.chat_template);
    }
    if (done && !recipe.system.empty()) done = draft.replace_text("system", recipe.system);
    for (const std::string& license : recipe.licenses) {
        if (done && !license.empty()) done = draft.add_text("license", license);
    }
    if (done && !recipe.parameters.empty()) {
        json::object all = draft.object_of("params");
        for (const auto& [name, value] : recipe.parameters) all[name] = value;
        done = draft.replace_text("params", json::serialize(all));
    }
    if (done && !recipe.messages.empty()) {
        json::array list;
        for (const auto& [role, content] : recipe.messages) list.push_back({{"role", role}, {"content", content}});
        done = draft.replace_text("messages", json::serialize(list));
    }
    return done;
}

}  // namespace

Result<void> create_model(const ModelStore& store, const catalog::OllamaName& name, const ModelRecipe& recipe,
                          const std::optional<BaseModel>& base, const Quantiser& quantise, const WorkContext& work) {
    Draft draft(store, work);
    Result<void> done = check_template(recipe.chat_template);
    for (const std::string& file : recipe.adapter_files) {
        if (done) done = check_adapter(file, file);  // before anything is copied
    }
    if (done) done = take_model(draft, store, recipe, base, quantise, work);
    if (done) done = take_adapters(draft, store, recipe, work);
    if (done) done = take_texts(draft, recipe);
    if (done) done = draft.describe();
    if (done && work.stop.stop_requested()) done = fail(ErrorCode::kCancelled, "cancelled");
    if (!done) return done;
    work.tell({"writing manifest"});
    return store.write_manifest(name, draft.manifest.encode());
}

Result<void> copy_model(const ModelStore& store, const BaseModel& base, const catalog::OllamaName& to,
                        const WorkContext& work) {
    if (!base.store) return create_model(store, to, {}, base, {}, work);
    std::vector<StoredBlob> holds;
    for (const Layer& layer : base.manifest.blobs()) {
        auto held = store.adopt_blob(layer.digest, blob_path(*base.store / "blobs", layer.digest),
                                     advance_of(work, "copying", to_text(layer.digest), layer.bytes));
        if (!held) return std::unexpected(std::move(held.error()));
        holds.push_back(std::move(*held));
    }
    const auto name = catalog::parse_ollama_name(base.name);
    const auto text = ModelStore(*base.store).read_manifest(*name);
    if (!text) return std::unexpected(text.error());
    return store.write_manifest(to, *text);
}

Result<void> remove_model(const ModelStore& store, const std::string& name,
                          const std::optional<catalog::ModelFile>& holder) {
    const auto parsed = catalog::parse_ollama_name(name);
    if (!holder || holder->in_store) {
        auto removed = parsed ? store.remove(*parsed) : Result<void>(fail(ErrorCode::kNotFound, ""));
        if (removed || removed.error().code != ErrorCode::kNotFound) return removed;
    }
    const bool is_here = holder && holder->path.starts_with(store.root().string() + "/");
    // Or it was there a moment ago, and somebody else has removed it.
    if (!holder || (is_here && holder->in_store)) {
        return fail(ErrorCode::kNotFound, fmt::format("model '{}' not found", name), "model");
    }
    std::string message;
    if (is_here) {
        message = fmt::format(
            "'{}' is a name that models.toml gives to a model of the store; that one is removed by its own name", name);
    } else if (holder->remote || holder->path.empty()) {
        message = fmt::format("model '{}' is not in the model store {}: it is {}", name, store.root().string(),
                              whose(*holder));
    } else {
        const bool is_blob = holder->path.find("/blobs/") != std::string::npos;
        message = fmt::format(
            "model '{}' does not lie in the model store {} but in {}, which is only read; remove it {}", name,
            store.root().string(), holder->path, is_blob ? "with the program that keeps it there" : "where it lies");
    }
    if (!holder->in_store && parsed && store.read_manifest(*parsed)) {
        message += fmt::format("; the store's model of that name is removed as '{}'", unmistakable(*parsed));
    }
    return fail(ErrorCode::kInvalidArgument, std::move(message), "model");
}

Result<void> check_name_is_free(const catalog::Catalog& catalog, const catalog::OllamaName& name,
                                const std::string& field) {
    std::vector<std::string> spellings{name.shortest()};
    const std::string latest = fmt::format(":{}", catalog::kDefaultTag);
    if (spellings.front().ends_with(latest)) {
        spellings.push_back(spellings.front().substr(0, spellings.front().size() - latest.size()));
    }
    for (const std::string& spelling : spellings) {
        const catalog::ModelFile* const holder = catalog.holder(spelling);
        if (holder == nullptr || holder->in_store) continue;
        if (holder->remote && holder->name == spellings.front()) {
            // The new one will come before it, unless it is models.toml that names it.
            const auto& listed = catalog.sources().upstreams;
            const bool is_listed = std::ranges::find(listed, holder->remote->upstream) != listed.end();
            if (is_listed && holder->name == holder->remote->model) continue;
        }
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the name \"{}\" is taken by {}, which would go on answering to it; choose another one",
                                holder->name, whose(*holder)),
                    field);
    }
    return {};
}

Result<catalog::OllamaName> new_model_name(const std::string& name, const std::string& field) {
    auto parsed = catalog::parse_ollama_name(name);
    if (parsed && catalog::is_valid_model_name(parsed->shortest())) return std::move(*parsed);
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: invalid model name; it is [host/][namespace/]model[:tag], each part of letters, digits, "
                    "\"-\", \"_\" and \".\" and 80 characters at most",
                    field),
        field);
}

Result<StoredBlob> take_file(const ModelStore& store, const fs::path& file, const WorkContext& work) {
    const auto summary = catalog::read_gguf_summary(file.string());
    if (!summary) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} cannot be used: {}", file.string(), summary.error().message), "from");
    }
    return take_bytes(store, file, work);
}

}  // namespace sutazai::store
