#pragma once

#include <vector>

#include "engine/prepared.h"

/// Task::kRead: a request that only wants to know what the model reads.
namespace sutazai::engine {

/// All that it is answered: the text of a chat or of tokens, the tokens, and the bytes of each, if it wants them. Fails
/// as LanguageModel::tokenize() does. Any thread.
[[nodiscard]] Result<std::vector<GenerationUpdate>> read_prompt(const GenerationRequest& request, const Model& model,
                                                                const llama::CancelCheck& cancelled);

}  // namespace sutazai::engine
