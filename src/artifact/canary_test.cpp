#include "artifact/canary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace sutazai::artifact {
namespace {

std::vector<float> some_logits(unsigned seed, std::size_t n = 5000, float deviation = 2) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(-1, deviation);
    std::vector<float> logits(n);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

TEST(Canary, HoldsTheLargest) {
    std::vector<float> logits(100, -1);
    logits[7] = 3;
    logits[8] = 3;
    logits[99] = 4;
    const auto canary = make_canary(logits);
    ASSERT_TRUE(canary);
    ASSERT_EQ(canary->top.size(), 8U);
    EXPECT_EQ(canary->top[0], (Canary::Pair{99, 4}));
    EXPECT_EQ(canary->top[1], (Canary::Pair{7, 3}));
    EXPECT_EQ(canary->top[2], (Canary::Pair{8, 3}));
    EXPECT_NEAR(canary->mean, (-97 + 3 + 3 + 4) / 100.0, 1e-6);
    EXPECT_EQ(make_canary(std::vector<float>{1, 2})->top.size(), 2U) << "a tiny vocabulary";
    EXPECT_FALSE(make_canary({}));
    logits[50] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(make_canary(logits));
    logits[50] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(make_canary(logits));
}

TEST(Canary, ForgivesRounding) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        const auto logits = some_logits(seed);
        const auto canary = make_canary(logits);
        std::mt19937 random(seed);
        std::normal_distribution<float> noise(0, 0.02F * 2);
        auto now = logits;
        for (float& logit : now) logit += noise(random);
        const auto verdict = compare(*canary, now);
        EXPECT_TRUE(verdict.matches) << "seed " << seed << ": " << verdict.reason;
    }
}

TEST(Canary, NoticesAnotherState) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        const auto canary = make_canary(some_logits(seed));
        EXPECT_FALSE(compare(*canary, some_logits(seed + 1000)).matches) << seed;
    }
}

TEST(Canary, NoticesAStateThatIsALittleOff) {
    int noticed = 0;
    for (unsigned seed = 0; seed < 100; ++seed) {
        auto logits = some_logits(seed);
        const auto canary = make_canary(logits);
        const auto other = some_logits(seed + 1000);
        for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = 0.8F * logits[i] + 0.2F * other[i];
        noticed += compare(*canary, logits).matches ? 0 : 1;
    }
    EXPECT_GE(noticed, 99);
}

TEST(Canary, NoticesANewLeader) {
    auto logits = some_logits(3);
    const auto canary = make_canary(logits);
    logits[1234] = canary->top[0].logit + 1;
    const auto verdict = compare(*canary, logits);
    EXPECT_FALSE(verdict.matches);
    EXPECT_NE(verdict.reason.find("another token leads"), std::string::npos) << verdict.reason;
}

TEST(Canary, HostileValuesAreRefused) {
    const auto logits = some_logits(3);
    const auto good = *make_canary(logits);
    EXPECT_TRUE(compare(good, logits).matches);
    for (const Token token : {-1, 5000, std::numeric_limits<Token>::min()}) {
        Canary bad = good;
        bad.top[3].token = token;
        EXPECT_FALSE(compare(bad, logits).matches) << token;
    }
    Canary bad = good;
    bad.deviation = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(compare(bad, logits).matches);
    bad = good;
    bad.top[0].logit = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(compare(bad, logits).matches);
    bad = good;
    bad.top.clear();
    EXPECT_FALSE(compare(bad, logits).matches);
    EXPECT_FALSE(compare(good, {}).matches);
}

}  // namespace
}  // namespace sutazai::artifact
