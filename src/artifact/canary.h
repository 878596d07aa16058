#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/chain.h"

/// What a model said after a chain when the chain was computed, to be compared with what it says after the chain has
/// been restored. Pure; any thread.
namespace sutazai::artifact {

/// Of the next-token logits after a block's last token.
struct Canary {
    struct Pair {
        Token token;
        float logit;
        bool operator==(const Pair&) const = default;
    };
    static constexpr int kMostPairs = 8;

    float mean = 0;         ///< of all logits
    float deviation = 0;    ///< standard deviation of all logits
    std::vector<Pair> top;  ///< the largest logits, largest first; 1 to kMostPairs
    bool operator==(const Canary&) const = default;
};

/// `logits`: [vocabulary]. nullopt when there are none or one is not finite.
[[nodiscard]] std::optional<Canary> make_canary(std::span<const float> logits);

/// How far restored logits may differ. A correct state does not give the same bits: llama.cpp rounds differently with
/// the shape of the batch a row is computed in. docs/artifacts.md has the measurements behind the numbers.
struct CanaryTolerance {
    float logit_deviations = 0.5F;  ///< each pair's logit, in standard deviations of the logits
    int missing = 2;                ///< of the pairs, so many may be absent from the first 2 * kMostPairs now
};

struct CanaryVerdict {
    bool matches = false;
    float largest_difference = 0;  ///< of a pair's logit, in standard deviations; infinite when not finite
    int missing = 0;
    std::string reason;  ///< a plain sentence when it does not match; holds no tokens
};

/// Compares with `logits`: [vocabulary] after the restored chain. The top token may differ only when the two that
/// compete lie within the tolerance.
[[nodiscard]] CanaryVerdict compare(const Canary& canary, std::span<const float> logits,
                                    const CanaryTolerance& tolerance = {});

}  // namespace sutazai::artifact
