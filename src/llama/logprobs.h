#pragma once

#include <span>
#include <vector>

#include "sched/types.h"

/// Log-probabilities of the model's own distribution, before any sampling setting. Pure.
namespace sutazai::llama {

struct ScoredToken {
    sched::Token token;
    float logprob;
};

/// log(sum(exp(logits))), which taken off a logit gives its log-probability. Exact to about 1e-6; entries of minus
/// infinity or NaN count as impossible. Minus infinity when nothing is possible.
[[nodiscard]] float log_sum_exp(std::span<const float> logits);

/// The `n` largest logits (all of them if there are fewer), best first, equals by token, as log-probabilities.
/// `normaliser` is log_sum_exp(logits).
[[nodiscard]] std::vector<ScoredToken> most_likely(std::span<const float> logits, std::size_t n, float normaliser);

}  // namespace sutazai::llama
