#pragma once

#include <array>
#include <random>
#include <span>
#include <vector>

#include "base/generation.h"
#include "llama/logit_row.h"
#include "llama/sampler.h"

namespace sutazai::llama {

/// llama.cpp's common chain, in its order: biases, penalties over the last kPenaltyWindowTokens tokens, top_k, top_p,
/// min_p, temperature, draw. Instead of sorting the vocabulary it selects the few candidates that can be drawn.
class QuickSampler final : public Sampler {
  public:
    /// `params` have no more than that.
    explicit QuickSampler(const SamplingParams& params);

    [[nodiscard]] sched::Token sample(std::span<float> logits) override;
    void accept(sched::Token token) override;
    [[nodiscard]] bool changes_logits() const override { return penalizes_ || !params_.logit_bias.empty(); }

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
