#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sutazai {

/// Durations, counted in logarithmic buckets: 32 to a doubling, single microseconds below 32 us. A quantile is the
/// middle of its bucket, so it is off by at most 1/64 (1.6 %), half a microsecond below 32 us; count and sum are exact.
/// Grows to what it has seen, at most about 10 KiB. Not thread-safe.
class Histogram {
  public:
    void observe(std::chrono::nanoseconds duration) {
        const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
        const std::size_t index = index_of(ns / 1000);
        if (index >= counts_.size()) counts_.resize(index + 1);
        ++counts_[index];
        ++count_;
        sum_ns_ += ns;
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double sum_s() const { return static_cast<double>(sum_ns_) * 1e-9; }
    [[nodiscard]] double mean_s() const { return count_ == 0 ? 0 : sum_s() / static_cast<double>(count_); }
    /// In seconds: the smallest value that at least a part `q` (0 to 1) of all are not above. 0 when there is none.
    [[nodiscard]] double quantile_s(double q) const {
        const auto rank =
            std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_))));
        std::uint64_t n = 0;
        for (std::size_t index = 0; index < counts_.size(); ++index) {
            n += counts_[index];
            if (n >= rank) return middle_us(index) * 1e-6;
        }
        return 0;
    }
    /// How many are at most so long, to within a bucket: one that `seconds` cuts counts where its middle is.
    [[nodiscard]] std::uint64_t count_up_to(double seconds) const {
        std::uint64_t n = 0;
        for (std::size_t index = 0; index < counts_.size() && middle_us(index) <= seconds * 1e6; ++index)
            n += counts_[index];
        return n;
    }

  private:
    static constexpr int kBits = 5;  // 2^kBits buckets to a doubling
    static constexpr std::uint64_t kMostUs = std::uint64_t{1} << 42;

    [[nodiscard]] static std::size_t index_of(std::uint64_t us) {
        us = std::min(us, kMostUs);
        const int exponent = std::max(static_cast<int>(std::bit_width(us)) - 1 - kBits, 0);
        return (static_cast<std::size_t>(exponent) << kBits) + static_cast<std::size_t>(us >> exponent);
    }
    [[nodiscard]] static double middle_us(std::size_t index) {
        constexpr std::size_t kOfOne = std::size_t{1} << kBits;
        const std::size_t exponent = index < 2 * kOfOne ? 0 : (index >> kBits) - 1;
        const auto first = static_cast<double>((index - (exponent << kBits)) << exponent);
        return first + 0.5 * static_cast<double>(std::size_t{1} << exponent);
    }

    std::vector<std::uint64_t> counts_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ns_ = 0;
};

}  // namespace sutazai
