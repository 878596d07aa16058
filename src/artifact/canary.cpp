#include "artifact/canary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sutazai::artifact {
namespace {

/// The `n` largest, largest first; of equals the smaller token first.
std::vector<Canary::Pair> largest(std::span<const float> logits, std::size_t n) {
    std::vector<Canary::Pair> top;
    const auto before = [](const Canary::Pair& a, const Canary::Pair& b) {
        return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
    };
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const Canary::Pair pair{static_cast<Token>(i), logits[i]};
        if (top.size() == n && !before(pair, top.back())) continue;
        if (top.size() == n) top.pop_back();
        top.insert(std::ranges::upper_bound(top, pair, before), pair);
    }
    return top;
}

CanaryVerdict refuse(CanaryVerdict verdict, std::string reason) {
    verdict.matches = false;
    verdict.reason = std::move(reason);
    return verdict;
}

}  // namespace

std::optional<Canary> make_canary(std::span<const float> logits) {
    if (logits.empty()) return std::nullopt;
    double sum = 0;
    double squares = 0;
    for (const float logit : logits) {
        sum += logit;
        squares += static_cast<double>(logit) * logit;
    }
    // One value that is not finite makes the sum so.
    if (!std::isfinite(sum) || !std::isfinite(squares)) return std::nullopt;
    const auto n = static_cast<double>(logits.size());
    const double mean = sum / n;
    Canary canary;
    canary.mean = static_cast<float>(mean);
    canary.deviation = static_cast<float>(std::sqrt(std::max(0.0, squares / n - mean * mean)));
    canary.top = largest(logits, Canary::kMostPairs);
    return canary;
}

CanaryVerdict compare(const Canary& canary, std::span<const float> logits, const CanaryTolerance& tolerance) {
    CanaryVerdict verdict;
    verdict.largest_difference = std::numeric_limits<float>::infinity();
    if (canary.top.empty() || !std::isfinite(canary.deviation)) return refuse(verdict, "the canary holds no values");
    if (!make_canary(logits)) return refuse(verdict, "the restored state gives logits that are not finite");
    for (const Canary::Pair& pair : canary.top) {
        if (pair.token < 0 || static_cast<std::size_t>(pair.token) >= logits.size()) {
            return refuse(verdict, "the canary names a token that the vocabulary does not have");
        }
    }
    // A model whose logits are all alike says nothing by them; any difference then is one of rounding or an error.
    const float unit = std::max(canary.deviation, 1e-3F);
    verdict.largest_difference = 0;
    for (const Canary::Pair& pair : canary.top) {
        const float difference = std::abs(logits[static_cast<std::size_t>(pair.token)] - pair.logit) / unit;
        verdict.largest_difference = std::isfinite(difference) ? std::max(verdict.largest_difference, difference)
                                                               : std::numeric_limits<float>::infinity();
    }
    const std::vector<Canary::Pair> now = largest(logits, 2UL * Canary::kMostPairs);
    verdict.missing = static_cast<int>(std::ranges::count_if(canary.top, [&](const Canary::Pair& pair) {
        return std::ranges::find(now, pair.token, &Canary::Pair::token) == now.end();
    }));

    if (!(verdict.largest_difference <= tolerance.logit_deviations)) {
        return refuse(verdict, fmt::format("a logit differs by {:.3f} standard deviations, more than {:.3f}",
                                           verdict.largest_difference, tolerance.logit_deviations));
    }
    // What the canary does not hold was below its last pair and may now be on top only by as much as rounding moves it.
    const float excess = (now.front().logit - logits[static_cast<std::size_t>(canary.top.front().token)]) / unit;
    if (!(excess <= tolerance.logit_deviations)) {
        return refuse(verdict, fmt::format("another token leads by {:.3f} standard deviations, more than {:.3f}",
                                           excess, tolerance.logit_deviations));
    }
    if (verdict.missing > tolerance.missing) {
        return refuse(verdict, fmt::format("{} of the {} likeliest tokens are no longer among the likeliest",
                                           verdict.missing, canary.top.size()));
    }
    verdict.matches = true;
    return verdict;
}

}  // namespace sutazai::artifact
