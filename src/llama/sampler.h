#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/generation.h"
#include "llama/logit_row.h"
#include "sched/types.h"

namespace sutazai::llama {

/// Draws one request's tokens. The chain is llama.cpp's common one, in its order: penalties over the last
/// kPenaltyWindowTokens tokens, top_k, top_p, min_p, temperature, draw. Instead of sorting the vocabulary it selects
/// the few candidates that can be drawn. One sampler a request; one thread at a time.
class Sampler {
  public:
    static constexpr sched::Token kNoToken = -1;

    explicit Sampler(const SamplingParams& params);

    /// The next token. `logits` are [vocabulary] and may be changed. kNoToken when they say nothing (LogitRow::read).
    [[nodiscard]] sched::Token sample(std::span<float> logits);

    /// A token of the request, prompt or generated, for the penalties.
    void accept(sched::Token token);

    /// Does sample() change the logits that it is given?
    [[nodiscard]] bool changes_logits() const { return penalizes_; }

  private:
    void penalize(std::span<float> logits) const;

    SamplingParams params_;
    bool penalizes_;
    std::mt19937 random_;
    std::array<sched::Token, kPenaltyWindowTokens> window_{};  ///< ring of the last tokens
    std::size_t window_size_ = 0;
    std::size_t window_next_ = 0;
    LogitRow row_;
    std::vector<Candidate> candidates_;  ///< kept between calls for its memory; sorted, best first, after selection
};

}  // namespace sutazai::llama
