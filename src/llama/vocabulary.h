#pragma once

#include <chat.h>
#include <llama.h>

#include <cstdint>
#include <memory>
#include <string>

namespace sutazai::llama {

struct LlamaModelDeleter {
    void operator()(llama_model* model) const { llama_model_free(model); }
};
using LlamaModel = std::unique_ptr<llama_model, LlamaModelDeleter>;

/// What texts need of a model: its tokens and its chat template. They can be loaded apart from the weights, on another
/// thread at the same time: a large vocabulary takes longer than the weights of a small model.
struct Vocabulary {
    LlamaModel model;  ///< holds nothing but the vocabulary; null: the model with the weights has it
    std::unique_ptr<common_chat_template> chat_template;
};

/// What llama.cpp makes of a file, or of all files of a split model whose first one it is; null when it refuses.
[[nodiscard]] LlamaModel load_file(const std::string& path, const llama_model_params& params);

/// Loads the vocabulary of a file. Without a model when that fails, and without a template when only that does: loading
/// both as one tells why. Any thread.
[[nodiscard]] Vocabulary load_vocabulary(const std::string& path);

/// Loads the weights of a file and no vocabulary: llama.cpp is told that there are `n_tokens` tokens without a text.
/// Null when that fails.
[[nodiscard]] LlamaModel load_weights(const std::string& path, llama_model_params params,
                                      const std::string& architecture, std::uint32_t n_tokens);

/// The file's own template, or the one that llama.cpp falls back to. Throws what llama.cpp throws.
[[nodiscard]] std::unique_ptr<common_chat_template> make_chat_template(const llama_model* model);

/// The bytes of a token, names of control tokens included; nothing for none.
[[nodiscard]] std::string piece_text(const llama_vocab* vocab, llama_token token);

}  // namespace sutazai::llama
