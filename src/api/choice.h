#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/generation.h"

/// Several generations that make one answer. Pure.
namespace sutazai::api {

/// One generation that has ended well.
struct Choice {
    Delta answer;  ///< all of it
    std::vector<TokenScore> scores = {};
    Finished finished = {};
};

/// What a whole answer used: every answer's tokens; a prompt's tokens once for each `per_prompt` choices, cached where
/// all of these found it cached.
[[nodiscard]] Usage total_usage(std::span<const Usage> usages, std::size_t per_prompt);
[[nodiscard]] Usage total_usage(std::span<const Choice> choices, std::size_t per_prompt);

/// Mean log-probability of a choice's generated tokens; 0 without any.
[[nodiscard]] double mean_logprob(const Choice& choice);

}  // namespace sutazai::api
