#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/openai_completions.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"

/// POST /v1/embeddings. Pure.
namespace sutazai::api::openai {

struct EmbeddingsRequest {
    std::string model;               ///< empty: the server's default
    std::vector<PromptItem> inputs;  ///< not empty
    bool base64 = false;             ///< encoding_format
    std::size_t dimensions = 0;      ///< 0: as many as the model makes
    bool truncate = false;           ///< an input that is too long loses its end
    int priority = 0;
    std::optional<KeepAlive> keep_alive;

    [[nodiscard]] std::vector<GenerationRequest> generations() const;
};

[[nodiscard]] Result<EmbeddingsRequest> parse_embeddings(std::string_view body, std::size_t max_inputs);

/// The vectors in the order of the inputs. `prompt_tokens` of all inputs.
[[nodiscard]] std::string encode_embeddings(std::string_view model, std::span<const std::vector<float>> embeddings,
                                            bool base64, std::size_t prompt_tokens);

}  // namespace sutazai::api::openai
