#include "kernels/logit_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu_level.h"

namespace sutazai::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Whether the row says anything, of all levels the same.
bool says_anything(const std::vector<float>& row) {
    std::vector<float> largest(scan_blocks(row.size()));
    const bool says = scan_logits(row, largest);
    for (const CpuLevel& level : cpu_levels()) EXPECT_EQ(level.scan_logits(row, largest), says) << level.name;
    return says;
}

TEST(LogitScan, TellsTheLargestOfEachBlock) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal(-50, 30);
    for (const std::size_t n : {1UL, 7UL, 127UL, 128UL, 129UL, 1000UL, 151'936UL}) {
        std::vector<float> row(n);
        std::ranges::generate(row, [&] { return normal(random); });
        row[n / 2] = -kInfinity;
        for (const CpuLevel& level : cpu_levels()) {
            std::vector<float> largest(scan_blocks(n), 1e9F);
            EXPECT_EQ(level.scan_logits(row, largest), n > 1) << level.name;
            for (std::size_t block = 0; block < largest.size(); ++block) {
                const auto begin = row.begin() + static_cast<std::ptrdiff_t>(block * kScanBlock);
                const auto end = row.begin() + static_cast<std::ptrdiff_t>(std::min(n, (block + 1) * kScanBlock));
                EXPECT_EQ(largest[block], *std::max_element(begin, end)) << level.name << " block " << block;
            }
        }
    }
}

TEST(LogitScan, FiniteLogitsSaySomething) {
    for (const std::size_t n : {1U, 15U, 16U, 17U, 100U, 300U}) {
        EXPECT_TRUE(says_anything(std::vector<float>(n, -1e30F))) << n;
        EXPECT_TRUE(says_anything(std::vector<float>(n, std::numeric_limits<float>::max()))) << n;
        EXPECT_TRUE(says_anything(std::vector<float>(n, std::numeric_limits<float>::lowest()))) << n;
    }
}

TEST(LogitScan, OneThatIsNoNumberSpoilsTheRowWhereverItStands) {
    for (const float wrong : {kNan, -kNan, std::numeric_limits<float>::signaling_NaN(), kInfinity}) {
        for (std::size_t at = 0; at < 300; ++at) {
            std::vector<float> row(300, 0.5F);
            row[at] = wrong;
            EXPECT_FALSE(says_anything(row)) << wrong << " at " << at;
        }
    }
}

TEST(LogitScan, MinusInfinityRulesATokenOut) {
    for (std::size_t at = 0; at < 300; ++at) {
        std::vector<float> row(300, -kInfinity);
        EXPECT_FALSE(says_anything(row)) << "nothing is possible";
        row[at] = 0;
        EXPECT_TRUE(says_anything(row)) << at;
    }
}

TEST(LogitScan, AnEmptyRowSaysNothing) {
    EXPECT_FALSE(says_anything({}));
}

}  // namespace
}  // namespace sutazai::kernels
