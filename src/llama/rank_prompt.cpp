#include "llama/rank_prompt.h"

#include <fmt/format.h>

namespace sutazai::llama {
namespace {

using Tokens = std::vector<sched::Token>;

/// The pattern's own text may name control tokens, what is put into it does not.
std::vector<TextPart> filled(std::string_view pattern, const RankedPair& pair) {
    constexpr std::string_view kQuery = "{query}";
    constexpr std::string_view kDocument = "{document}";
    std::vector<TextPart> parts;
    while (!pattern.empty()) {
        const std::size_t at = std::min(pattern.find(kQuery), pattern.find(kDocument));
        if (at > 0) parts.push_back({pattern.substr(0, at), true});
        if (at == std::string_view::npos) break;
        pattern.remove_prefix(at);
        const bool is_query = pattern.starts_with(kQuery);
        parts.push_back({is_query ? pair.query : pair.document, false});
        pattern.remove_prefix(is_query ? kQuery.size() : kDocument.size());
    }
    return parts;
}

}  // namespace

Result<Tokens> read_pair(const Tokenizer& tokenizer, const llama_vocab* vocab, std::string_view pattern,
                         const RankedPair& pair, std::size_t most_tokens, const CancelCheck& cancelled) {
    if (!pattern.empty()) return tokenizer.tokenize_bare(filled(pattern, pair), most_tokens, cancelled);
    const auto query = tokenizer.tokenize_bare({pair.query, false}, most_tokens, cancelled);
    if (!query) return query;
    const auto document = tokenizer.tokenize_bare({pair.document, false}, most_tokens, cancelled);
    if (!document) return document;
    sched::Token end = llama_vocab_eos(vocab);
    if (end == LLAMA_TOKEN_NULL) end = llama_vocab_sep(vocab);
    const auto add_end = [&](Tokens& tokens) {
        if (llama_vocab_get_add_eos(vocab)) tokens.push_back(end);
    };
    Tokens tokens;
    if (llama_vocab_get_add_bos(vocab)) tokens.push_back(llama_vocab_bos(vocab));
    tokens.insert(tokens.end(), query->begin(), query->end());
    add_end(tokens);
    if (llama_vocab_get_add_sep(vocab)) tokens.push_back(llama_vocab_sep(vocab));
    tokens.insert(tokens.end(), document->begin(), document->end());
    add_end(tokens);
    if (tokens.size() > most_tokens) {
        return fail(ErrorCode::kContextOverflow,
                    fmt::format("the question and the text have {} tokens", tokens.size()));
    }
    return tokens;
}

}  // namespace sutazai::llama
