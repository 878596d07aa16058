#pragma once

#include <limits>
#include <span>

#include "base/generation.h"
#include "sched/types.h"

namespace sutazai::llama {

/// Draws one request's tokens. One sampler a request; one thread at a time.
class Sampler {
  public:
    static constexpr sched::Token kNoToken = -1;

    virtual ~Sampler() = default;
    Sampler(const Sampler&) = delete;
    Sampler& operator=(const Sampler&) = delete;

    /// The next token. `logits` are [vocabulary] and may be changed. kNoToken when they say nothing (LogitRow::read).
    [[nodiscard]] virtual sched::Token sample(std::span<float> logits) = 0;

    /// A token of the request, prompt or generated, for the penalties.
    virtual void accept(sched::Token token) = 0;

    /// Does sample() change the logits that it is given?
    [[nodiscard]] virtual bool changes_logits() const = 0;

  protected:
    Sampler() = default;
};

/// Biases of tokens that there are not do nothing.
inline void add_biases(std::span<const LogitBias> biases, std::span<float> logits) {
    for (const auto& [token, bias] : biases) {
        if (token >= 0 && static_cast<std::size_t>(token) < logits.size())
            logits[static_cast<std::size_t>(token)] += bias;
    }
}

}  // namespace sutazai::llama
