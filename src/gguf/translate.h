#pragma once

#include <istream>
#include <optional>
#include <string>

#include "base/error.h"
#include "gguf/outline.h"

/// Many files of the Ollama registry are of Ollama's own making: other names, keys that are missing, tensors of a
/// vision part in the same file. Their outline is changed into what llama.cpp expects, the file stays as it is
/// (docs/ollama-blobs.md has the families, docs/decisions/0033-translated-files.md the why).
namespace sutazai::gguf {

struct Translation {
    std::string family;    ///< "gemma3"
    unsigned version = 0;  ///< of what is done to files of that family; another one may compute something else

    /// "gemma3 1"
    [[nodiscard]] std::string id() const { return family + " " + std::to_string(version); }
};

/// Changes `outline`, which read_outline() made of `in`, where the file needs it; nothing when it does not, which costs
/// microseconds. kLoadFailed with the reason and a way out for what cannot be translated. `in` outlives the call; its
/// position moves. Blocks on the disk; any thread.
[[nodiscard]] Result<std::optional<Translation>> translate(Outline& outline, std::istream& in);

/// Whether what was read of a head so far tells that translate() will leave it as it is: before the vocabulary of most
/// files, which is the longest part.
[[nodiscard]] bool needs_no_translation(const Outline& begun);

}  // namespace sutazai::gguf
