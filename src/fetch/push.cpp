#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "fetch/places.h"
#include "fetch/pull.h"
#include "fetch/registry.h"
#include "fetch/source.h"

namespace sutazai::fetch {
namespace {

/// A model, and where it is.
struct Found {
    store::ModelStore store;
    std::string manifest;
};

Result<Found> find_model(const Options& options, const catalog::OllamaName& name) {
    std::vector<std::filesystem::path> roots{options.store};
    roots.insert(roots.end(), options.other_stores.begin(), options.other_stores.end());
    for (const auto& root : roots) {
        store::ModelStore store(root);
        auto manifest = store.read_manifest(name);
        if (manifest) return Found{std::move(store), std::move(*manifest)};
        if (manifest.error().code != ErrorCode::kNotFound) return std::unexpected(std::move(manifest.error()));
    }
    return fail(
        ErrorCode::kNotFound,
        fmt::format("there is no model {} in {} or another store of Ollama", name.shortest(), options.store.string()),
        "model");
}

/// As it says itself.
std::string media_type_of(const std::string& manifest) {
    boost::system::error_code error;
    const auto parsed = boost::json::parse(manifest, error);
    const auto* object = error ? nullptr : parsed.if_object();
    const auto* type = object == nullptr ? nullptr : object->if_contains("mediaType");
    const bool is_text = type != nullptr && type->is_string() && !type->get_string().empty();
    return is_text ? std::string(type->get_string()) : std::string(store::kManifestType);
}

}  // namespace

Result<void> push(const Options& options, const Request& request, const std::stop_token& stop,
                  const ProgressSink& tell) {
    const auto source = parse_source(request.model);
    if (!source) return std::unexpected(source.error());
    if (source->kind != Source::Kind::kRegistry) {
        return fail(ErrorCode::kInvalidArgument, "only to registries models are pushed: host/namespace/model[:tag]",
                    "model");
    }
    Access access = options.access;
    access.insecure = request.insecure;
    access.mirrors.clear();  // which are for pulling
    auto base = place_of(access, *source, Direction::kPush);
    if (!base) return std::unexpected(std::move(base.error()));
    if (request.typed) {
        access.named = base->authority();
        access.named_is_private = request.insecure;
    }
    tell({"retrieving manifest"});
    if (auto checked = access.check_start(*base); !checked) return checked;
    const auto found = find_model(options, source->name);
    if (!found) return std::unexpected(found.error());
    const auto manifest = store::parse_manifest(found->manifest);
    if (!manifest) return std::unexpected(manifest.error());

    Client client(access, options.patience, stop);
    Registry registry(client, *base, source->name);
    for (const store::Layer& blob : manifest->blobs()) {
        const std::string what = "pushing " + to_hex(blob.digest).substr(0, 12);
        const std::string digest = store::to_text(blob.digest);
        tell({what, digest, blob.bytes, 0});
        const auto there = registry.has_blob(blob.digest);
        if (!there) return std::unexpected(there.error());
        if (!*there) {
            const auto hold = found->store.hold(blob.digest);
            if (!hold || hold->bytes() != blob.bytes) {
                return fail(ErrorCode::kNotFound,
                            fmt::format("the blob {} of {} is missing", digest, source->name.shortest()));
            }
            auto put = registry.put_blob(blob, hold->file(), [&](std::uint64_t completed) {
                tell({what, digest, blob.bytes, completed});
            });
            if (!put) return put;
        }
        tell({what, digest, blob.bytes, blob.bytes});
    }
    tell({"pushing manifest"});
    return registry.put_manifest(found->manifest, media_type_of(found->manifest));
}

}  // namespace sutazai::fetch
