#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/generation.h"
#include "sched/types.h"

namespace sutazai::llama {

struct Candidate {
    float logit;
    sched::Token token;
};

/// Draws one request's tokens. The chain is llama.cpp's common one, in its order: penalties over the last
/// kPenaltyWindowTokens tokens, top_k, top_p, min_p, temperature, draw. Instead of sorting the vocabulary it selects
/// the few candidates that can be drawn. One sampler a request; one thread at a time.
class Sampler {
  public:
    explicit Sampler(const SamplingParams& params);

    /// The next token. `logits` are [vocabulary] and may be changed.
    [[nodiscard]] sched::Token sample(std::span<float> logits);

    /// A token of the request, prompt or generated, for the penalties.
    void accept(sched::Token token);

    /// Does sample() change the logits that it is given?
    [[nodiscard]] bool changes_logits() const { return penalizes_; }

  private:
    void penalize(std::span<float> logits) const;
    void select_above(std::span<const float> logits, float least);

    SamplingParams params_;
    bool penalizes_;
    std::mt19937 random_;
    std::array<sched::Token, kPenaltyWindowTokens> window_{};  ///< ring of the last tokens
    std::size_t window_size_ = 0;
    std::size_t window_next_ = 0;
    std::vector<Candidate> candidates_;  ///< kept between calls for its memory; sorted, best first, after selection
};

/// The n best (all, if there are fewer), best first, into `out`, whose memory is reused.
void select_top(std::span<const float> logits, std::size_t n, std::vector<Candidate>& out);

/// Index of the largest value; the first of equals. `values` is not empty.
[[nodiscard]] std::size_t index_of_largest(std::span<const float> values);

}  // namespace sutazai::llama
