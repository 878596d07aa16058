#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "gguf/virtual_file.h"
#include "llama/chat_template.h"
#include "llama/tokenizer.h"

namespace sutazai::llama {

struct LlamaModelDeleter {
    void operator()(llama_model* model) const { llama_model_free(model); }
};
using LlamaModel = std::unique_ptr<llama_model, LlamaModelDeleter>;

/// What texts need of a model: its tokens and its chat template. They can be loaded apart from the weights, on another
/// thread at the same time: a large vocabulary takes longer than the weights of a small model.
struct Vocabulary {
    LlamaModel model;  ///< holds nothing but the vocabulary; null: the model with the weights has it
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<ChatTemplate> chat_template;
    Error no_template;  ///< why there is none

    void take_template(Result<std::unique_ptr<ChatTemplate>> made) {
        if (made) {
            chat_template = std::move(*made);
        } else {
            no_template = std::move(made.error());
        }
    }
};

/// What a model is loaded from. Outlives the load, not the model.
struct ModelSource {
    std::string path;                             ///< of a split model the first file
    std::optional<gguf::VirtualFile> translated;  ///< in place of the file, where llama.cpp expects another one
};

/// What llama.cpp makes of a file, or of all files of a split model; null when it refuses. A file as it is stays
/// mapped, a translated one is read.
[[nodiscard]] LlamaModel load_file(const ModelSource& source, llama_model_params params);

/// Loads the vocabulary of a file, with make_chat_template(). Without a model when that fails: loading weights and
/// vocabulary as one tells why. Any thread.
[[nodiscard]] Vocabulary load_vocabulary(const ModelSource& source, const TemplateChoice& templates);

/// Loads the weights of a file and no vocabulary: llama.cpp is told that there are `n_tokens` tokens without a text.
/// Null when that fails.
[[nodiscard]] LlamaModel load_weights(const ModelSource& source, llama_model_params params,
                                      const std::string& architecture, std::uint32_t n_tokens);

/// The one that was chosen for the model; else the file's own template; where it has none, or one that cannot be read,
/// the fallback. kInvalidArgument (field "messages") says to users why there is none; a chosen one that cannot be read
/// is not made up for by another.
[[nodiscard]] Result<std::unique_ptr<ChatTemplate>> make_chat_template(const llama_model* model,
                                                                       const TemplateChoice& templates);

/// The bytes of a token, names of control tokens included; nothing for none.
[[nodiscard]] std::string piece_text(const llama_vocab* vocab, llama_token token);

}  // namespace sutazai::llama
