#include <string>

#include "gguf/families/families.h"

namespace sutazai::gguf {
namespace {

// Llama 3's vocabulary.
constexpr std::uint32_t kEndOfText = 128001;
constexpr std::uint32_t kStartOfHeader = 128006;
constexpr std::uint32_t kEndOfTurn = 128009;

}  // namespace

/// Loads as it is, and then splits texts into other tokens than it was trained on. (Where only the end of a text is
/// named as what ends an answer, llama.cpp knows the end of a turn by its name.)
Changed translate_llama3(Draft& draft) {
    const Outline& outline = draft.outline();
    const auto eos = outline.number("tokenizer.ggml.eos_token_id");
    if (!has_no_pre_tokenizer(outline)) return false;
    const Value* tokens = outline.find("tokenizer.ggml.tokens");
    if (tokens == nullptr || tokens->count <= kEndOfTurn) return false;
    const auto ends_turns = draft.token_is(kEndOfTurn, "<|eot_id|>");
    if (!ends_turns) return std::unexpected(ends_turns.error());
    const auto has_headers = draft.token_is(kStartOfHeader, "<|start_header_id|>");
    if (!has_headers) return std::unexpected(has_headers.error());
    const std::string_view chat = outline.text("tokenizer.chat_template");
    const bool chats = *has_headers || chat.find("<|start_header_id|>") != std::string_view::npos ||
                       chat.find("<|eot_id|>") != std::string_view::npos;
    if (!*ends_turns || !chats) return false;
    draft.set_text("tokenizer.ggml.pre", "llama-bpe");
    if (!eos || *eos == kEndOfText) draft.set_u32("tokenizer.ggml.eos_token_id", kEndOfTurn);
    if (outline.number("tokenizer.ggml.eot_token_id").value_or(kEndOfText) == kEndOfText) {
        draft.set_u32("tokenizer.ggml.eot_token_id", kEndOfTurn);
    }
    return true;
}

Changed translate_llama4(Draft& draft) {
    return drop_vision(draft);
}

}  // namespace sutazai::gguf
