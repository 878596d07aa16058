#include "store/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/json_text.h"
#include "catalog/ollama_name.h"

namespace sutazai::store {

namespace json = boost::json;

namespace {

std::string_view view(const json::string& text) {
    return {text.data(), text.size()};
}

std::unexpected<Error> refuse(std::string why) {
    return fail(ErrorCode::kInvalidArgument, "the manifest " + std::move(why));
}

Result<Layer> parse_layer(const json::value& value, std::string_view what) {
    if (!value.is_object()) return refuse(fmt::format("has a {} that is no object", what));
    const json::object& object = value.get_object();
    Layer out;
    if (const json::value* type = object.if_contains("mediaType"); type != nullptr && type->is_string()) {
        out.media_type = view(type->get_string());
    }
    const json::value* digest = object.if_contains("digest");
    const auto parsed =
        digest != nullptr && digest->is_string() ? parse_digest(view(digest->get_string())) : std::optional<Digest>();
    if (!parsed) return refuse(fmt::format("has a {} without a digest (sha256: and 64 hex digits)", what));
    out.digest = *parsed;
    const json::value* size = object.if_contains("size");
    if (size == nullptr || !size->is_int64() || size->get_int64() < 0) {
        return refuse(fmt::format("has a {} without a size", what));
    }
    out.bytes = static_cast<std::uint64_t>(size->get_int64());
    return out;
}

void collect(const json::value& value, std::set<Digest>& out, int depth) {
    constexpr int kMostDepth = 16;
    if (depth > kMostDepth) return;
    if (value.is_string()) {
        if (const auto digest = parse_digest(view(value.get_string()))) out.insert(*digest);
    } else if (value.is_array()) {
        for (const json::value& entry : value.get_array()) collect(entry, out, depth + 1);
    } else if (value.is_object()) {
        for (const auto& [key, entry] : value.get_object()) collect(entry, out, depth + 1);
    }
}

void append(std::string& out, const Layer& layer) {
    out += R"({"mediaType":)";
    append_quoted(out, layer.media_type);
    fmt::format_to(std::back_inserter(out), R"(,"digest":"{}","size":{}}})", to_text(layer.digest), layer.bytes);
}

}  // namespace

std::optional<Digest> parse_digest(std::string_view text) {
    const auto digits = catalog::parse_blob_digest(text);
    return digits ? digest_from_hex(*digits) : std::nullopt;
}

std::string to_text(const Digest& digest) {
    return "sha256:" + to_hex(Bytes(digest));
}

std::vector<Layer> Manifest::blobs() const {
    std::vector<Layer> out;
    const auto add = [&](const Layer& layer) {
        if (std::ranges::find(out, layer.digest, &Layer::digest) == out.end()) out.push_back(layer);
    };
    for (const Layer& layer : layers) add(layer);
    if (config) add(*config);
    return out;
}

const Layer* Manifest::find(std::string_view kind) const {
    const auto found = std::ranges::find_if(layers, [&](const Layer& layer) {
        return layer.media_type.size() == kLayerTypePrefix.size() + kind.size() &&
               layer.media_type.starts_with(kLayerTypePrefix) && layer.media_type.ends_with(kind);
    });
    return found == layers.end() ? nullptr : &*found;
}

std::string Manifest::encode() const {
    std::string out = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":)", kManifestType);
    if (config) {
        append(out, *config);
    } else {
        out += R"({"mediaType":"","digest":"","size":0})";
    }
    out += R"(,"layers":[)";
    for (const Layer& layer : layers) {
        if (&layer != layers.data()) out += ',';
        append(out, layer);
    }
    return out + "]}";
}

Result<Manifest> parse_manifest(std::string_view text) {
    if (text.size() > kMostManifestBytes) return refuse("is longer than any");
    boost::system::error_code error;
    const json::value parsed = json::parse({text.data(), text.size()}, error);
    if (error || !parsed.is_object()) return refuse("is no JSON object");
    const json::object& object = parsed.get_object();
    const json::value* layers = object.if_contains("layers");
    if (layers == nullptr || !layers->is_array()) {
        return refuse(object.contains("manifests") ? "is a list of manifests, which is not supported"
                                                   : "has no layers");
    }
    Manifest out;
    // Manifests without a config give it as an empty one.
    if (const json::value* config = object.if_contains("config"); config != nullptr && config->is_object()) {
        const json::value* digest = config->get_object().if_contains("digest");
        if (digest != nullptr && !(digest->is_string() && digest->get_string().empty())) {
            auto layer = parse_layer(*config, "config");
            if (!layer) return std::unexpected(layer.error());
            out.config = std::move(*layer);
        }
    }
    for (const json::value& entry : layers->get_array()) {
        auto layer = parse_layer(entry, "layer");
        if (!layer) return std::unexpected(layer.error());
        out.layers.push_back(std::move(*layer));
    }
    return out;
}

std::optional<std::set<Digest>> digests_in(std::string_view text) {
    boost::system::error_code error;
    const json::value parsed = json::parse({text.data(), text.size()}, error);
    if (error) return std::nullopt;
    std::set<Digest> out;
    collect(parsed, out, 0);
    return out;
}

}  // namespace sutazai::store
