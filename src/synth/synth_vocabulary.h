#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

struct gguf_context;

namespace sutazai::synth {

/// What the output layer of a random model should make of one token, so that its text is varied and valid UTF-8.
struct Speech {
    enum class Kind : std::uint8_t {
        kFree,    ///< may come after anything
        kSilent,  ///< hardly ever comes
        kAfter,   ///< comes where `previous` was the last token, and hardly ever elsewhere
    };
    Kind kind = Kind::kFree;
    std::int32_t previous = -1;
};

struct SynthVocabulary {
    std::uint32_t size = 0;      ///< tokens, which is the rows of the embedding table
    std::vector<Speech> speech;  ///< of each token; empty when every token is free
};

/// Writes the tokenizer.* metadata for SynthOptions::vocabulary into `file`, a ChatML template with it.
[[nodiscard]] Result<SynthVocabulary> write_vocabulary(const std::string& vocabulary, gguf_context* file);

}  // namespace sutazai::synth
