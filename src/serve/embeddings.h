#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "api/openai_embeddings.h"
#include "base/duration.h"
#include "base/error.h"
#include "base/generation.h"
#include "serve/caller.h"
#include "serve/context.h"

namespace sutazai::serve {

struct EmbedRequest {
    std::string model;  ///< empty: the server's default
    std::optional<KeepAlive> keep_alive;
    std::vector<GenerationRequest> inputs;  ///< not empty; all of Task::kEmbed, or all of Task::kRank
    const char* field = "input";            ///< that they came in, for errors
};

struct Embeddings {
    std::string model;
    std::vector<std::vector<float>>
        vectors;                    ///< in the order of the inputs, each of length 1; of Task::kRank one score
    std::size_t prompt_tokens = 0;  ///< of all inputs
    std::chrono::steady_clock::time_point warm_at{};  ///< the model was there
};

/// All inputs, or the first error; one that is an input's names it: "input", of several "input[2]".
[[nodiscard]] boost::asio::awaitable<Result<Embeddings>> embed(Context& context, Caller caller, EmbedRequest request);

/// What POST /v1/embeddings answers: JSON.
[[nodiscard]] boost::asio::awaitable<Result<std::string>> openai_embeddings(Context& context, Caller caller,
                                                                            api::openai::EmbeddingsRequest request);

}  // namespace sutazai::serve
