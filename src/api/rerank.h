#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"

/// POST /v1/rerank: which of some texts answer a question best. Two shapes: Jina's and Cohere's (`documents`), and that
/// of Hugging Face's text-embeddings-inference (`texts`), as in llama-server. Pure.
namespace sutazai::api::rerank {

struct Request {
    std::string model;  ///< empty: the server's default
    std::string query;
    std::vector<std::string> documents;  ///< not empty
    std::size_t top_n = 0;               ///< results; as many as there are documents, or fewer
    bool returns_documents = false;
    bool is_tei = false;  ///< came as `texts`
    int priority = 0;
    std::optional<KeepAlive> keep_alive;

    /// One for each document, of Task::kRank.
    [[nodiscard]] std::vector<GenerationRequest> generations() const;
};

[[nodiscard]] Result<Request> parse(std::string_view body, std::size_t max_documents);

/// The best first, `scores` in the order of the documents.
[[nodiscard]] std::string encode(const Request& request, std::string_view model, std::span<const float> scores,
                                 std::size_t prompt_tokens);

}  // namespace sutazai::api::rerank
