#include "llama/vocabulary.h"

#include <common.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <vector>

#include "base/model_parts.h"

namespace sutazai::llama {
namespace {

template <std::size_t N>
void copy_to(char (&to)[N], const std::string& from) {  // NOLINT(modernize-avoid-c-arrays): llama.cpp's
    to[from.copy(to, N - 1)] = '\0';
}

}  // namespace

LlamaModel load_file(const std::string& path, const llama_model_params& params) {
    const std::vector<std::string> parts = model_parts(path);
    if (parts.size() == 1) return LlamaModel(llama_model_load_from_file(path.c_str(), params));
    // Given one by one: llama.cpp finds them by itself only under names of its own.
    std::vector<const char*> paths;
    for (const std::string& part : parts) paths.push_back(part.c_str());
    return LlamaModel(llama_model_load_from_splits(paths.data(), paths.size(), params));
}

Vocabulary load_vocabulary(const std::string& path) {
    Vocabulary out;
    try {
        llama_model_params params = llama_model_default_params();
        params.vocab_only = true;
        out.model = load_file(path, params);
        if (out.model != nullptr) out.chat_template = make_chat_template(out.model.get());
    } catch (const std::exception& e) {
        spdlog::debug("the vocabulary of {} by itself: {}", path, e.what());
    }
    return out;
}

LlamaModel load_weights(const std::string& path, llama_model_params params, const std::string& architecture,
                        std::uint32_t n_tokens) {
    std::array<llama_model_kv_override, 3> overrides{};  // ends with one that has no key
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    copy_to(overrides[0].key, "tokenizer.ggml.model");
    copy_to(overrides[0].val_str, "none");
    overrides[1].tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    copy_to(overrides[1].key, architecture + ".vocab_size");
    overrides[1].val_i64 = n_tokens;
    params.kv_overrides = overrides.data();
    return load_file(path, params);
}

std::unique_ptr<common_chat_template> make_chat_template(const llama_model* model) {
    // common_chat_templates knows the fallbacks; rendering goes through the one template, without the analysis of
    // tool-call formats that it would do for each request.
    const llama_vocab* vocab = llama_model_get_vocab(model);
    const common_chat_templates_ptr templates = common_chat_templates_init(model, "");
    return std::make_unique<common_chat_template>(common_chat_templates_source(templates.get()),
                                                  piece_text(vocab, llama_vocab_bos(vocab)),
                                                  piece_text(vocab, llama_vocab_eos(vocab)));
}

std::string piece_text(const llama_vocab* vocab, llama_token token) {
    return token == LLAMA_TOKEN_NULL ? std::string() : common_token_to_piece(vocab, token, true);
}

}  // namespace sutazai::llama
