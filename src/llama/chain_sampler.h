#pragma once

#include <memory>
#include <vector>

#include "llama/logit_row.h"
#include "llama/sampler.h"

struct llama_sampler;
struct llama_vocab;

namespace sutazai::llama {

/// The chain of llama.cpp's own samplers that llama-server would make of the same parameters: common_sampler_init() of
/// its common/sampling.cpp, whose order this follows. Each draw looks at the whole vocabulary, which takes about a
/// hundred times as long as QuickSampler's.
class ChainSampler final : public Sampler {
  public:
    /// `params.more` is set. `vocab` outlives this.
    ChainSampler(const SamplingParams& params, const llama_vocab* vocab);
    ~ChainSampler() override;

    [[nodiscard]] sched::Token sample(std::span<float> logits) override;
    void accept(sched::Token token) override;
    [[nodiscard]] bool changes_logits() const override { return !biases_.empty(); }

  private:
    struct Candidates;
    struct Free {
        void operator()(llama_sampler* sampler) const;
    };

    std::vector<LogitBias> biases_;
    std::unique_ptr<llama_sampler, Free> chain_;
    std::unique_ptr<Candidates> candidates_;  ///< kept for its memory
    LogitRow row_;
};

}  // namespace sutazai::llama
