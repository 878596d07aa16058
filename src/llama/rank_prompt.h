#pragma once

#include <llama.h>

#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "llama/tokenizer.h"
#include "sched/types.h"

namespace sutazai::llama {

/// What a model that ranks texts reads of a pair: `pattern` with {query} and {document} replaced; without one the two
/// with the tokens between them that the vocabulary asks for, as llama-server does (format_prompt_rerank()). Fails as
/// Tokenizer::tokenize_bare().
[[nodiscard]] Result<std::vector<sched::Token>> read_pair(const Tokenizer& tokenizer, const llama_vocab* vocab,
                                                          std::string_view pattern, const RankedPair& pair,
                                                          std::size_t most_tokens, const CancelCheck& cancelled);

}  // namespace sutazai::llama
