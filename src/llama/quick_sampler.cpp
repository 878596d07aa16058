#include "llama/quick_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sutazai::llama {
namespace {

/// Seeds of 32 bits as they always were; others with all their bits.
std::mt19937 generator_of(std::optional<std::uint64_t> seed) {
    if (!seed) return std::mt19937(std::random_device{}());
    const auto low = static_cast<std::uint32_t>(*seed);
    const auto high = static_cast<std::uint32_t>(*seed >> 32);
    if (high == 0) return std::mt19937(low);
    std::seed_seq both{low, high};
    return std::mt19937(both);
}

}  // namespace

QuickSampler::QuickSampler(const SamplingParams& params)
    : params_(params),
      penalizes_(params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F),
      random_(generator_of(params.seed)) {}

void QuickSampler::accept(sched::Token token) {
    window_[window_next_] = token;
    window_next_ = (window_next_ + 1) % window_.size();
    window_size_ = std::min(window_size_ + 1, window_.size());
}

void QuickSampler::penalize(std::span<float> logits) const {
    for (std::size_t i = 0; i < window_size_; ++i) {
        const sched::Token token = window_[i];
        const auto begin = window_.begin();
        if (std::find(begin, begin + static_cast<std::ptrdiff_t>(i), token) != begin + static_cast<std::ptrdiff_t>(i)) {
            continue;  // counted at its first place
        }
        if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) continue;
        const auto count = std::count(begin + static_cast<std::ptrdiff_t>(i),
                                      begin + static_cast<std::ptrdiff_t>(window_size_), token);
        float& logit = logits[static_cast<std::size_t>(token)];
        logit = logit > 0 ? logit / params_.repeat_penalty : logit * params_.repeat_penalty;
        logit -= static_cast<float>(count) * params_.frequency_penalty + params_.presence_penalty;
        logit = std::min(logit, std::numeric_limits<float>::max());  // a tiny repeat_penalty makes it infinite
    }
}

sched::Token QuickSampler::sample(std::span<float> logits) {
    add_biases(params_.logit_bias, logits);
    if (penalizes_) penalize(logits);
    if (!row_.read(logits)) return kNoToken;
    if (params_.temperature <= 0 || params_.top_k == 1) return row_.most_likely();

    const float largest = row_.largest();
    if (params_.top_k > 0) {
        row_.select_top(static_cast<std::size_t>(params_.top_k), candidates_);
    } else {
        // Without top_k a token this unlikely, e^-24 of the best, is never drawn: 152,000 of them together weigh 6e-6.
        constexpr float kNegligible = 24.0F;
        const float cut = params_.min_p > 0 ? std::min(kNegligible, -std::log(params_.min_p)) : kNegligible;
        // top_p counts the mass of all that top_k left, so min_p may cut early only when top_p keeps everything.
        row_.select_at_least(largest - (params_.top_p >= 1.0F ? cut : kNegligible), candidates_);
    }

    // top_p and min_p look at probabilities before the temperature, as llama.cpp does.
    std::size_t keep = candidates_.size();
    if (params_.top_p < 1.0F) {
        double total = 0;
        for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit - largest));
        double sum = 0;
        for (std::size_t i = 0; i < keep; ++i) {
            sum += std::exp(static_cast<double>(candidates_[i].logit - largest)) / total;
            if (sum >= static_cast<double>(params_.top_p)) keep = i + 1;
        }
    }
    if (params_.min_p > 0) {
        const float least = largest + std::log(params_.min_p);
        while (keep > 1 && candidates_[keep - 1].logit < least) --keep;
    }

    double total = 0;
    for (std::size_t i = 0; i < keep; ++i) {
        total += std::exp(static_cast<double>((candidates_[i].logit - largest) / params_.temperature));
    }
    // 32 bits of the generator, not std::uniform_real_distribution: the same draw with every standard library.
    double point = static_cast<double>(random_()) / 4294967296.0 * total;
    for (std::size_t i = 0; i < keep; ++i) {
        point -= std::exp(static_cast<double>((candidates_[i].logit - largest) / params_.temperature));
        if (point < 0) return candidates_[i].token;
    }
    return candidates_[keep - 1].token;
}

}  // namespace sutazai::llama
