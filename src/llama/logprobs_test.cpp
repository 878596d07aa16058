#include "llama/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace sutazai::llama {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

double exact(const std::vector<float>& logits) {
    const double largest = *std::ranges::max_element(logits);
    long double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<long double>(logit) - largest);
    return largest + static_cast<double>(std::log(sum));
}

std::vector<float> random_logits(std::size_t n, float deviation, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> logits(n);
    std::ranges::generate(logits, [&] { return normal(random); });
    return logits;
}

float sum_of(const std::vector<float>& logits) {
    LogitRow row;
    EXPECT_TRUE(row.read(logits));
    return log_sum_exp(row);
}

TEST(Logprobs, TheSumIsThatOfExactArithmetic) {
    for (const std::size_t n : {1UL, 2UL, 15UL, 16UL, 17UL, 800UL, 4096UL, 4097UL, 151'936UL}) {
        for (const float deviation : {0.01F, 1.0F, 3.0F, 30.0F}) {
            const auto logits = random_logits(n, deviation, static_cast<unsigned>(n));
            EXPECT_NEAR(sum_of(logits), exact(logits), 1e-5 * std::max(1.0, std::abs(exact(logits))))
                << n << " logits of deviation " << deviation;
        }
    }
}

TEST(Logprobs, ManySmallOnesAreNotLostBesideALargeOne) {
    std::vector<float> logits(100'000, -10.0F);
    logits[77'777] = 0;
    EXPECT_NEAR(sum_of(logits), std::log(1 + 99'999 * std::exp(-10.0)), 1e-5);
}

TEST(Logprobs, TheImpossibleCountsForNothing) {
    EXPECT_FLOAT_EQ(sum_of({1, -kInfinity, -200}), 1);
}

}  // namespace
}  // namespace sutazai::llama
