#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace sutazai {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TEST(Histogram, OfNothingIsNothing) {
    const Histogram none;
    EXPECT_EQ(none.count(), 0U);
    EXPECT_EQ(none.sum_s(), 0);
    EXPECT_EQ(none.mean_s(), 0);
    EXPECT_EQ(none.quantile_s(0.5), 0);
    EXPECT_EQ(none.count_up_to(1e9), 0U);
}

TEST(Histogram, QuantilesAreWithinTheStatedBound) {
    std::mt19937 random(7);
    std::lognormal_distribution<double> seconds(-5, 2.5);
    Histogram histogram;
    std::vector<double> all;
    double sum = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto value = nanoseconds(static_cast<std::int64_t>(seconds(random) * 1e9));
        histogram.observe(value);
        all.push_back(static_cast<double>(value.count()) * 1e-9);
        sum += all.back();
    }
    std::ranges::sort(all);
    EXPECT_EQ(histogram.count(), all.size());
    EXPECT_NEAR(histogram.sum_s(), sum, sum * 1e-9);
    for (const double q : {0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(all.size()))) - 1;
        EXPECT_NEAR(histogram.quantile_s(q), all[rank], all[rank] / 64 + 0.6e-6) << q;
    }
}

TEST(Histogram, CountsUpToAnEdge) {
    Histogram histogram;
    for (const int ms : {1, 9, 11, 200}) histogram.observe(milliseconds(ms));
    EXPECT_EQ(histogram.count_up_to(0.0005), 0U);
    EXPECT_EQ(histogram.count_up_to(0.005), 1U);
    EXPECT_EQ(histogram.count_up_to(0.010), 2U);
    EXPECT_EQ(histogram.count_up_to(0.1), 3U);
    EXPECT_EQ(histogram.count_up_to(1), 4U);
}

TEST(Histogram, TakesWhatIsNoDurationAndWhatIsTooLong) {
    Histogram histogram;
    histogram.observe(nanoseconds(-5));
    histogram.observe(std::chrono::hours(24 * 3650));
    EXPECT_EQ(histogram.count(), 2U);
    EXPECT_LT(histogram.quantile_s(0.5), 1e-6);
    EXPECT_GT(histogram.quantile_s(1), 4e6);
    EXPECT_EQ(histogram.count_up_to(1e12), 2U);
}

}  // namespace
}  // namespace sutazai
