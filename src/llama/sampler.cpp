#include "llama/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace sutazai::llama {
namespace {

bool better(float a, sched::Token a_token, float b, sched::Token b_token) {
    return a > b || (a == b && a_token < b_token);
}

constexpr float kLowest = -std::numeric_limits<float>::infinity();

/// Minus infinity for none. Lanes of their own, because the compiler may not reorder one running maximum of floats into
/// vectors: NaN would tell.
float largest_of(std::span<const float> values) {
    constexpr std::size_t kLanes = 16;
    std::array<float, kLanes> lanes;
    lanes.fill(kLowest);
    std::size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
        }
    }
    float largest = kLowest;
    for (; i < values.size(); ++i) largest = values[i] > largest ? values[i] : largest;
    for (const float lane : lanes) largest = lane > largest ? lane : largest;
    return largest;
}

}  // namespace

std::size_t index_of_largest(std::span<const float> values) {
    // Largest value of each block first; then the block that holds it.
    constexpr std::size_t kBlock = 1024;
    float largest = kLowest;
    std::size_t where = 0;
    for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
        const float of_block = largest_of(values.subspan(begin, std::min(kBlock, values.size() - begin)));
        if (of_block > largest) {
            largest = of_block;
            where = begin;
        }
    }
    for (std::size_t i = where; i < values.size(); ++i) {
        if (values[i] == largest) return i;
    }
    return 0;  // all are NaN or minus infinity
}

/// The n best, best first. A heap of the n best so far; nearly every block holds nothing better than the worst of them.
void select_top(std::span<const float> logits, std::size_t n, std::vector<Candidate>& out) {
    n = std::min(n, logits.size());
    const auto worse = [](const Candidate& a, const Candidate& b) {
        return better(a.logit, a.token, b.logit, b.token);
    };
    out.clear();
    if (n == 0) return;
    for (std::size_t i = 0; i < n; ++i) out.push_back({logits[i], static_cast<sched::Token>(i)});
    std::ranges::make_heap(out, worse);
    float bar = out.front().logit;
    constexpr std::size_t kBlock = 64;
    for (std::size_t begin = n; begin < logits.size(); begin += kBlock) {
        const std::size_t end = std::min(begin + kBlock, logits.size());
        if (!(largest_of(logits.subspan(begin, end - begin)) > bar)) continue;
        for (std::size_t i = begin; i < end; ++i) {
            if (!(logits[i] > bar)) continue;
            std::ranges::pop_heap(out, worse);
            out.back() = {logits[i], static_cast<sched::Token>(i)};
            std::ranges::push_heap(out, worse);
            bar = out.front().logit;
        }
    }
    std::ranges::sort_heap(out, worse);
}

Sampler::Sampler(const SamplingParams& params)
    : params_(params),
      penalizes_(params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F),
      random_(params.seed ? *params.seed : std::random_device{}()) {}

void Sampler::accept(sched::Token token) {
    window_[window_next_] = token;
    window_next_ = (window_next_ + 1) % window_.size();
    window_size_ = std::min(window_size_ + 1, window_.size());
}

void Sampler::penalize(std::span<float> logits) const {
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
    }
}

/// All with a logit of at least `least`, best first.
void Sampler::select_above(std::span<const float> logits, float least) {
    candidates_.clear();
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] >= least) candidates_.push_back({logits[i], static_cast<sched::Token>(i)});
    }
    std::ranges::sort(
        candidates_, [](const Candidate& a, const Candidate& b) { return better(a.logit, a.token, b.logit, b.token); });
}

sched::Token Sampler::sample(std::span<float> logits) {
    if (penalizes_) penalize(logits);
    if (params_.temperature <= 0 || params_.top_k == 1) return static_cast<sched::Token>(index_of_largest(logits));

    float largest = 0;
    if (params_.top_k > 0) {
        select_top(logits, static_cast<std::size_t>(params_.top_k), candidates_);
        if (!candidates_.empty()) largest = candidates_.front().logit;
    } else {
        largest = logits[index_of_largest(logits)];
        // Without top_k a token this unlikely, e^-24 of the best, is never drawn: 152,000 of them together weigh 6e-6.
        constexpr float kNegligible = 24.0F;
        const float cut = params_.min_p > 0 ? std::min(kNegligible, -std::log(params_.min_p)) : kNegligible;
        // top_p counts the mass of all that top_k left, so min_p may cut early only when top_p keeps everything.
        select_above(logits, largest - (params_.top_p >= 1.0F ? cut : kNegligible));
    }
    if (candidates_.empty()) return static_cast<sched::Token>(index_of_largest(logits));

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
