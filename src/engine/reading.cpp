#include "engine/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace sutazai::engine {
namespace {

/// Of pieces, in one update.
constexpr std::size_t kPiecesAtOnce = 4096;

/// What there is to be told beside the tokens: of a chat what the template made of it, of tokens what they stand for.
Result<std::string> text_read(const GenerationRequest& request, std::span<const Token> tokens, const Model& model,
                              const llama::CancelCheck& cancelled) {
    if (std::holds_alternative<Chat>(request.prompt)) return model.chat_text(request, cancelled);
    if (std::holds_alternative<std::vector<Token>>(request.prompt)) return text_of(model, tokens);
    return std::string();
}

}  // namespace

Result<std::vector<GenerationUpdate>> read_prompt(const GenerationRequest& request, const Model& model,
                                                  const llama::CancelCheck& cancelled) {
    auto tokens = model.tokenize(request, kMaxReadTokens, cancelled);
    if (!tokens) {
        Error& error = tokens.error();
        if (error.code == ErrorCode::kContextOverflow)
            error.message += fmt::format("; at most {} are read", kMaxReadTokens);
        return std::unexpected(std::move(error));
    }
    auto text = text_read(request, *tokens, model, cancelled);
    if (!text) return std::unexpected(std::move(text.error()));
    std::vector<GenerationUpdate> updates;
    if (request.echo) {
        for (std::size_t first = 0; first < tokens->size(); first += kPiecesAtOnce) {
            const auto some = std::span(*tokens).subspan(first, std::min(kPiecesAtOnce, tokens->size() - first));
            GenerationUpdate& update = updates.emplace_back();
            update.scores.reserve(some.size());
            for (const Token token : some) {
                update.scores.push_back({{token < 0 ? std::string() : model.piece(token), 0}, {}, false});
            }
        }
    }
    GenerationUpdate& update = updates.emplace_back();
    update.delta.content = std::move(*text);
    update.finished.emplace();
    update.finished->usage.prompt_tokens = static_cast<std::uint32_t>(tokens->size());
    std::erase_if(*tokens, [](Token token) { return token < 0; });  // of images: they say nothing to anybody else
    update.finished->tokens = std::move(*tokens);
    return updates;
}

}  // namespace sutazai::engine
