#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "models/memory_estimate.h"

namespace sutazai::models {

/// What a model is expected to take: as its file has it, corrected by what its engines took before. Pure.
class ModelMemory {
  public:
    ModelMemory() = default;
    explicit ModelMemory(const MemoryEstimate& estimate) : estimate_(estimate) {}

    [[nodiscard]] const MemoryEstimate& estimate() const { return estimate_; }
    void set_estimate(const MemoryEstimate& estimate) { estimate_ = estimate; }

    /// Bytes that engines took beyond the estimate; nothing before one was measured.
    [[nodiscard]] std::optional<std::int64_t> correction() const { return correction_; }
    void set_correction(std::optional<std::int64_t> correction) { correction_ = correction; }

    /// An engine takes `bytes`; `first`: as soon as it is warm. The most counts; what is less does so slowly.
    void learn(std::uint64_t bytes, bool first) {
        const std::int64_t beyond = static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(estimate_.total());
        if (!correction_ || beyond > *correction_) {
            correction_ = beyond;
        } else if (first) {
            *correction_ -= (*correction_ - beyond) / kForgottenShare;
        }
    }

    [[nodiscard]] std::uint64_t expected_bytes() const {
        const auto corrected = static_cast<std::int64_t>(estimate_.total()) + correction_.value_or(0);
        return static_cast<std::uint64_t>(std::max<std::int64_t>(corrected, 1));
    }

  private:
    /// Of the difference, when an engine took less than engines of its model before it did.
    static constexpr std::int64_t kForgottenShare = 8;

    MemoryEstimate estimate_;
    std::optional<std::int64_t> correction_;
};

}  // namespace sutazai::models
