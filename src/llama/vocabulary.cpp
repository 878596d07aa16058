#include "llama/vocabulary.h"

#include <common.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <vector>

#include "base/model_parts.h"
#include "llama/virtual_stream.h"

namespace sutazai::llama {
namespace {

template <std::size_t N>
void copy_to(char (&to)[N], const std::string& from) {  // NOLINT(modernize-avoid-c-arrays): llama.cpp's
    to[from.copy(to, N - 1)] = '\0';
}

}  // namespace

LlamaModel load_file(const ModelSource& source, llama_model_params params) {
    if (source.translated) {
        // Neither can be mapped: there is no such file.
        params.load_mode = LLAMA_LOAD_MODE_NONE;
        params.lazy_mode = LLAMA_LAZY_MODE_OFF;
        const Stream stream = open_stream(*source.translated);
        return LlamaModel(stream == nullptr ? nullptr : llama_model_load_from_file_ptr(stream.get(), params));
    }
    const std::vector<std::string> parts = model_parts(source.path);
    if (parts.size() == 1) return LlamaModel(llama_model_load_from_file(source.path.c_str(), params));
    // Given one by one: llama.cpp finds them by itself only under names of its own.
    std::vector<const char*> paths;
    paths.reserve(parts.size());
    for (const std::string& part : parts) paths.push_back(part.c_str());
    return LlamaModel(llama_model_load_from_splits(paths.data(), paths.size(), params));
}

Vocabulary load_vocabulary(const ModelSource& source, const TemplateChoice& templates) {
    Vocabulary out;
    try {
        llama_model_params params = llama_model_default_params();
        params.vocab_only = true;
        out.model = load_file(source, params);
        if (out.model != nullptr) out.tokenizer = std::make_unique<Tokenizer>(llama_model_get_vocab(out.model.get()));
        if (out.model != nullptr) out.take_template(make_chat_template(out.model.get(), templates));
    } catch (const std::exception& e) {
        spdlog::debug("the vocabulary of {} by itself: {}", source.path, e.what());
    }
    return out;
}

LlamaModel load_weights(const ModelSource& source, llama_model_params params, const std::string& architecture,
                        std::uint32_t n_tokens) {
    std::array<llama_model_kv_override, 3> overrides{};  // ends with one that has no key
    overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    copy_to(overrides[0].key, "tokenizer.ggml.model");
    copy_to(overrides[0].val_str, "none");
    overrides[1].tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    copy_to(overrides[1].key, architecture + ".vocab_size");
    overrides[1].val_i64 = n_tokens;
    params.kv_overrides = overrides.data();
    return load_file(source, params);
}

Result<std::unique_ptr<ChatTemplate>> make_chat_template(const llama_model* model, const TemplateChoice& templates) {
    const auto read = [model](const std::string& source) {
        if (auto named = built_in_template(source)) return named;
        // Jinja has no other way to go through messages.
        if (source.find("{%") == std::string::npos) {
            if (auto go = go_template(source)) return go;
        }
        const llama_vocab* vocab = llama_model_get_vocab(model);
        return jinja_template(source, piece_text(vocab, llama_vocab_bos(vocab)),
                              piece_text(vocab, llama_vocab_eos(vocab)));
    };
    if (!templates.own.empty()) {
        const bool is_name = templates.own.find_first_of("{\n") == std::string::npos;
        auto chosen = is_name ? built_in_template(templates.own) : read(templates.own);
        if (chosen) return chosen;
        spdlog::warn("the chat template that was chosen for this model: {}", chosen.error().message);
        return fail(ErrorCode::kInvalidArgument,
                    "the chat template that was chosen for this model cannot be used: " + chosen.error().message,
                    "messages");
    }
    const char* source = llama_model_chat_template(model, nullptr);
    if (source == nullptr) source = llama_model_chat_template(model, "tool_use");
    std::string why = "this model has no chat template";
    if (source != nullptr) {
        auto own = read(source);
        if (own) return own;
        why = "this model's chat template cannot be read: " + own.error().message;
        spdlog::warn("{}", why);
    }
    if (!templates.fallback.empty()) {
        const bool is_name = templates.fallback.find_first_of("{\n") == std::string::npos;
        auto other = is_name ? built_in_template(templates.fallback) : go_template(templates.fallback);
        if (!other && !is_name) {
            // Better one that is like it than none.
            if (auto alike = recognized_template(templates.fallback)) other = std::move(alike);
        }
        if (other) return other;
        const char* const what = is_name ? "CHAT_TEMPLATE" : "the store's template";
        spdlog::warn("{}: {}", what, other.error().message);
        why += std::string("; ") + what + ": " + other.error().message;
    }
    if (!templates.renderer.empty()) {
        why += fmt::format("; Ollama writes its chats with code of its own, \"{}\", which is not here",
                           gguf::printable(templates.renderer));
    }
    return fail(ErrorCode::kInvalidArgument,
                why + ". Send a prompt to /v1/completions, or set CHAT_TEMPLATE to the name of one of llama.cpp's own",
                "messages");
}

std::string piece_text(const llama_vocab* vocab, llama_token token) {
    return token == LLAMA_TOKEN_NULL ? std::string() : common_token_to_piece(vocab, token, true);
}

}  // namespace sutazai::llama
