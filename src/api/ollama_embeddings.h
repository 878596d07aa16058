#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/ollama_lines.h"
#include "api/openai_embeddings.h"
#include "base/error.h"

/// Ollama's POST /api/embed, and /api/embeddings, its older form for one prompt. Pure.
namespace sutazai::api::ollama {

/// Without inputs the body only asks for the model to be loaded.
[[nodiscard]] Result<openai::EmbeddingsRequest> parse_embed(std::string_view body, std::size_t max_inputs);
[[nodiscard]] Result<openai::EmbeddingsRequest> parse_embeddings(std::string_view body);

/// {"model","embeddings","total_duration","load_duration","prompt_eval_count"}
[[nodiscard]] std::string encode_embed(std::string_view model, std::span<const std::vector<float>> embeddings,
                                       std::size_t prompt_tokens, const Durations& durations);

/// {"embedding"}, of the older route.
[[nodiscard]] std::string encode_embedding(std::span<const float> embedding);

}  // namespace sutazai::api::ollama
