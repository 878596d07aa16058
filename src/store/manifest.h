#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"

/// Digests and manifests as Ollama's stores and registries write them. Pure.
namespace sutazai::store {

/// "sha256:<64 hex digits>", or with "-" for ":", in any case. Nothing for anything else.
[[nodiscard]] std::optional<Digest> parse_digest(std::string_view text);
/// "sha256:<64 hex digits>"
[[nodiscard]] std::string to_text(const Digest& digest);

/// A blob that a manifest names.
struct Layer {
    std::string media_type;
    Digest digest{};
    std::uint64_t bytes = 0;

    bool operator==(const Layer&) const = default;
};

inline constexpr std::string_view kManifestType = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kConfigType = "application/vnd.docker.container.image.v1+json";
/// Before "model", "template" and so on.
inline constexpr std::string_view kLayerTypePrefix = "application/vnd.ollama.image.";
inline constexpr std::size_t kMostManifestBytes = 1 << 20;

/// What makes up a model.
struct Manifest {
    std::optional<Layer> config;
    std::vector<Layer> layers;

    /// Every blob once, the config last: whoever fetches them in this order has the description when all else is there.
    [[nodiscard]] std::vector<Layer> blobs() const;
    /// The first of that kind ("model"); null when there is none.
    [[nodiscard]] const Layer* find(std::string_view kind) const;
    /// As `ollama create` writes it, to the byte.
    [[nodiscard]] std::string encode() const;
};

/// kInvalidArgument for what is no manifest, for a digest or a size that is none, and for more than kMostManifestBytes.
[[nodiscard]] Result<Manifest> parse_manifest(std::string_view text);

/// Every digest that stands anywhere in it, also in a manifest of a kind that is not known here. Nothing for what is no
/// JSON.
[[nodiscard]] std::optional<std::set<Digest>> digests_in(std::string_view text);

}  // namespace sutazai::store
