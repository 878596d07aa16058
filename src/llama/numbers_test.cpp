#include "llama/numbers.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace sutazai::llama {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Numbers, FiniteLogitsAreLogits) {
    for (const std::size_t n : {1U, 15U, 16U, 17U, 100U}) {
        EXPECT_TRUE(are_logits(std::vector<float>(n, -1e30F))) << n;
        EXPECT_TRUE(are_logits(std::vector<float>(n, std::numeric_limits<float>::max()))) << n;
        EXPECT_TRUE(are_logits(std::vector<float>(n, std::numeric_limits<float>::lowest()))) << n;
    }
}

TEST(Numbers, OneThatIsNoneSpoilsTheRowWhereverItStands) {
    for (const float wrong : {kNan, -kNan, std::numeric_limits<float>::signaling_NaN(), kInfinity}) {
        for (std::size_t at = 0; at < 100; ++at) {
            std::vector<float> row(100, 0.5F);
            row[at] = wrong;
            EXPECT_FALSE(are_logits(row)) << wrong << " at " << at;
        }
    }
}

TEST(Numbers, MinusInfinityRulesATokenOut) {
    for (std::size_t at = 0; at < 40; ++at) {
        std::vector<float> row(40, -kInfinity);
        EXPECT_FALSE(are_logits(row)) << "nothing is possible";
        row[at] = 0;
        EXPECT_TRUE(are_logits(row)) << at;
    }
}

TEST(Numbers, AnEmptyRowSaysNothing) {
    EXPECT_FALSE(are_logits({}));
}

}  // namespace
}  // namespace sutazai::llama
