#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "base/generation.h"

/// What is said of a model beside its weights: by models.toml, and by the store that it lies in. Plain values.
namespace sutazai::catalog {

/// How a model is to be loaded, where that is not as the server's settings have it. Part of what makes two engines two.
struct LoadChoices {
    std::uint32_t context_tokens = 0;        ///< KV cells in all; 0: nothing is said
    std::uint32_t least_context_tokens = 0;  ///< one request of so many tokens is to fit, where nothing is said above
    std::string kv_type = {};                ///< one of kKvTypes; empty: nothing is said
    std::string chat_template = {};          ///< in place of the file's own: a Jinja template, or a built-in one's name
    std::string fallback_template = {};      ///< where the file has none: a text or a name that llama.cpp knows
    std::string projector = {};              ///< path of the GGUF file that lets it take images; empty: it takes none

    bool operator==(const LoadChoices&) const = default;
};

/// What a request that does not say gets.
struct RequestDefaults {
    std::optional<float> temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    std::optional<int> top_k;
    std::optional<int> max_tokens;  ///< as in GenerationRequest
    std::optional<std::uint64_t> seed;
    std::optional<std::vector<std::string>> stop;
    std::optional<std::string> system;       ///< of a chat that has no system message
    std::vector<ChatMessage> messages = {};  ///< before those of every chat
    /// Adapters that requests may name. Those of a scale other than 0 are added where a request names none.
    std::vector<AdapterChoice> adapters = {};

    bool operator==(const RequestDefaults&) const = default;
};

/// What a store's own description says.
struct StoreFacts {
    std::string family;           ///< "qwen2"
    std::string parameter_size;   ///< "3.1B"
    std::string quantization;     ///< "Q4_K_M"
    std::string renderer;         ///< Ollama's code that this model's chats are written with; empty: its template
    std::string parser;           ///< and that reads its answers
    std::string needs;            ///< the least version of Ollama
    bool chose_template = false;  ///< whoever made it wants its template in place of the file's own
    bool has_draft = false;       ///< a small model beside it that guesses its tokens; it is not used

    bool operator==(const StoreFacts&) const = default;
};

struct ModelProfile {
    LoadChoices load;
    RequestDefaults request;
    std::optional<bool> pinned;
    std::optional<KeepAlive> keep_alive;
    StoreFacts facts;
    std::uint64_t adapter_bytes = 0;  ///< of the files of request.adapters, when they were looked at
    std::string load_hint = {};       ///< a sentence for whoever hears that the file does not load

    bool operator==(const ModelProfile&) const = default;
};

/// `strong`, and what it does not say as `weak` has it. `facts` and `load_hint` are those of `weak`.
[[nodiscard]] ModelProfile merged(const ModelProfile& strong, const ModelProfile& weak);

/// Engines of one key have one model: the same weights, loaded in the same way.
[[nodiscard]] std::string engine_key(std::string_view weights, const LoadChoices& load);

}  // namespace sutazai::catalog
