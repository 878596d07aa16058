#pragma once

#include <llama.h>

#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "llama/chat_template.h"
#include "llama/tokenizer.h"
#include "sched/types.h"

/// Gaps in texts, for models that are trained to fill them. What stands where is that of Qwen2.5-Coder's paper
/// (arXiv 2409.12186), which llama-server's /infill follows: files, then prefix, suffix, middle.
namespace sutazai::llama {

/// The text around a gap as one text to tokenise. kInvalidArgument (field "suffix") when the model fills no gaps.
[[nodiscard]] Result<std::vector<TextRun>> around_a_gap(const Tokenizer& tokenizer, const llama_vocab* vocab,
                                                        const Infill& infill);

/// The same as tokens, at most `most_tokens`: what is further from the gap than they reach is left out.
/// kContextOverflow when what stands in the gap already is too long, kCancelled.
[[nodiscard]] Result<std::vector<sched::Token>> trimmed_around_a_gap(const Tokenizer& tokenizer,
                                                                     const llama_vocab* vocab, const Infill& infill,
                                                                     std::size_t most_tokens,
                                                                     const CancelCheck& cancelled);

}  // namespace sutazai::llama
