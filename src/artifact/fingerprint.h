#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact/hash.h"
#include "base/error.h"

/// Everything that makes a KV state valid for a model as it is loaded. Pure; any thread.
namespace sutazai::artifact {

/// Version of everything that this module writes. Another number is another fingerprint, so old files are never read
/// with new eyes; they end by retention.
inline constexpr std::uint32_t kFormatVersion = 1;

struct FingerprintParts {
    Digest weights{};          ///< weights_digest.h
    std::string architecture;  ///< general.architecture, "qwen2"
    std::string type_k;        ///< ggml's name of the KV types, "f16"
    std::string type_v;
    bool flash_attention = false;  ///< as it is in effect, not as it was asked for; V is stored transposed without it
    std::uint32_t n_layer = 0;
    std::uint32_t n_head = 0;
    std::uint32_t n_head_kv = 0;
    std::uint32_t n_embd = 0;
    std::uint32_t n_embd_k = 0;  ///< KV values per token and layer (n_embd_k_gqa of layer 0)
    std::uint32_t n_embd_v = 0;
    std::uint32_t sliding_window = 0;  ///< tokens; 0: none
    std::string rope_type;             ///< "neox", "norm", "none", ...
    std::string rope_scaling;          ///< "none", "linear", "yarn", "longrope"
    float rope_freq_base = 0;
    float rope_freq_scale = 0;
    /// What else decides on the positions' rotation: YaRN's parameters, or the context length where the factors depend
    /// on it. Free text, empty when nothing does.
    std::string rope_other;
    std::string translation;    ///< what is done to the file before it is loaded, "gemma3 1"; empty: nothing
    std::string lora;           ///< digests and scales of adapters; empty: none
    std::string llama_version;  ///< "v0.5.0"
    std::uint32_t llama_state_version = 0;  ///< LLAMA_STATE_SEQ_VERSION
};

/// An ordered list of named values, as text one "name = value" a line. Its digest is the SHA-256 of that text, so the
/// manifest of a folder can be checked by hand.
class Fingerprint {
  public:
    /// Adds what is this build's own: format version and byte order.
    explicit Fingerprint(const FingerprintParts& parts);

    /// Text that text() made, perhaps of another version with other names. kInvalidArgument for anything else; at most
    /// 16 KiB and 64 lines are looked at.
    [[nodiscard]] static Result<Fingerprint> parse(std::string_view text);

    [[nodiscard]] const std::string& text() const { return text_; }
    [[nodiscard]] const Digest& digest() const { return digest_; }
    [[nodiscard]] std::string id() const;  ///< first 16 hex digits of the digest: the folder's name
    /// "" when there is no such name. Names: weights, architecture, type_k, ... as in FingerprintParts.
    [[nodiscard]] std::string_view value(std::string_view name) const;

    bool operator==(const Fingerprint& other) const { return digest_ == other.digest_; }

  private:
    Fingerprint() = default;
    void seal();
    [[nodiscard]] bool has(std::string_view name) const;
    friend std::vector<std::string> differences(const Fingerprint& found, const Fingerprint& wanted);

    std::vector<std::pair<std::string, std::string>> fields_;
    std::string text_;
    Digest digest_{};
};

/// What keeps states of `found` from being used where `wanted` is asked for, for people: "KV type of keys is q8_0, not
/// f16". Empty when they are equal.
[[nodiscard]] std::vector<std::string> differences(const Fingerprint& found, const Fingerprint& wanted);

/// The same for one name; "" when both have the same value.
[[nodiscard]] std::string difference(const Fingerprint& found, const Fingerprint& wanted, std::string_view name);

}  // namespace sutazai::artifact
