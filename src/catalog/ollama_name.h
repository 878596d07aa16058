#pragma once

#include <optional>
#include <string>
#include <string_view>

/// The names of models as Ollama has them: [host/][namespace/]model[:tag]. Rules: types/model/name.go of Ollama. Pure.
namespace sutazai::catalog {

/// All four parts are there and valid: a letter, digit or underscore, then also "-", "_", "." (not in a namespace) and
/// ":" (in a host alone); at most 80 characters, a host 350. Letters keep their case, and names that differ in nothing
/// else are one.
struct OllamaName {
    std::string host;
    std::string name_space;
    std::string model;
    std::string tag;

    bool operator==(const OllamaName&) const = default;

    /// As `ollama list` shows it: without the default host, and then without the default namespace.
    [[nodiscard]] std::string shortest() const;
    [[nodiscard]] std::string full() const;
    /// host/namespace/model/tag: where its manifest lies below manifests/.
    [[nodiscard]] std::string path() const;
    /// The same for all spellings of one name: full() in small letters.
    [[nodiscard]] std::string key() const;
};

inline constexpr std::string_view kDefaultHost = "registry.ollama.ai";
inline constexpr std::string_view kDefaultNamespace = "library";
inline constexpr std::string_view kDefaultTag = "latest";

/// With the defaults for what is missing; a scheme in front ("https://") is dropped. Nothing when a part is not valid.
[[nodiscard]] std::optional<OllamaName> parse_ollama_name(std::string_view text);

/// Of the path of a manifest: exactly four parts. Nothing when one is not valid.
[[nodiscard]] std::optional<OllamaName> ollama_name_from_path(std::string_view path);

/// "sha256:<64 hex digits>", or with "-" for ":", in any case. Returns the 64 digits in small letters.
[[nodiscard]] std::optional<std::string> parse_blob_digest(std::string_view text);

/// A to Z become small.
[[nodiscard]] std::string in_small_letters(std::string_view text);

}  // namespace sutazai::catalog
