#include "llama/logit_row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace sutazai::llama {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// With equals among them.
std::vector<float> random_logits(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> tenths(-60, 60);
    std::vector<float> logits(n);
    std::ranges::generate(logits, [&] { return static_cast<float>(tenths(random)) / 10; });
    return logits;
}

std::vector<sched::Token> by_a_full_sort(const std::vector<float>& logits) {
    std::vector<sched::Token> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const auto logit = [&](sched::Token token) { return logits[static_cast<std::size_t>(token)]; };
    std::ranges::stable_sort(order, std::greater<>(), logit);
    return order;
}

std::vector<sched::Token> tokens(const std::vector<Candidate>& candidates) {
    std::vector<sched::Token> all;
    for (const Candidate& candidate : candidates) all.push_back(candidate.token);
    return all;
}

TEST(LogitRow, TheTopAreThoseOfAFullSort) {
    LogitRow row;
    std::vector<Candidate> top;
    for (const std::size_t n_logits : {3UL, 100UL, 128UL, 5000UL, 30'001UL}) {
        for (const std::size_t n : {0UL, 1UL, 5UL, 40UL, 200UL, n_logits}) {
            const auto logits = random_logits(n_logits, static_cast<unsigned>(n_logits + n));
            ASSERT_TRUE(row.read(logits));
            row.select_top(n, top);
            auto expected = by_a_full_sort(logits);
            expected.resize(std::min(n, n_logits));
            EXPECT_EQ(tokens(top), expected) << n << " of " << n_logits;
            EXPECT_EQ(row.most_likely(), by_a_full_sort(logits).front());
            EXPECT_EQ(row.largest(), *std::ranges::max_element(logits));
        }
    }
}

TEST(LogitRow, WhatIsRuledOutIsNotAmongTheTop) {
    std::vector<float> logits(20'000, -kInfinity);
    for (const std::size_t token : {19'999UL, 7UL, 12'345UL}) logits[token] = static_cast<float>(token);
    LogitRow row;
    ASSERT_TRUE(row.read(logits));
    std::vector<Candidate> top;
    row.select_top(40, top);
    EXPECT_EQ(tokens(top), (std::vector<sched::Token>{19'999, 12'345, 7}));
    row.select_at_least(8, top);
    EXPECT_EQ(tokens(top), (std::vector<sched::Token>{19'999, 12'345}));
}

TEST(LogitRow, EqualsComeInTheOrderOfTheirTokens) {
    const std::vector<float> logits(10'000, 1.5F);
    LogitRow row;
    ASSERT_TRUE(row.read(logits));
    EXPECT_EQ(row.most_likely(), 0);
    std::vector<Candidate> top;
    row.select_top(4, top);
    EXPECT_EQ(tokens(top), (std::vector<sched::Token>{0, 1, 2, 3}));
}

TEST(LogitRow, TheWorstThatAFloatCanBeIsStillALogit) {
    const std::vector<float> logits(300, std::numeric_limits<float>::lowest());
    LogitRow row;
    ASSERT_TRUE(row.read(logits));
    std::vector<Candidate> top;
    row.select_top(2, top);
    EXPECT_EQ(tokens(top), (std::vector<sched::Token>{0, 1}));
}

TEST(LogitRow, ARowThatSaysNothingIsRefused) {
    LogitRow row;
    EXPECT_FALSE(row.read(std::vector<float>(5, -kInfinity)));
    EXPECT_FALSE(row.read(std::vector<float>{1, std::nanf(""), 2}));
    EXPECT_FALSE(row.read({}));
}

}  // namespace
}  // namespace sutazai::llama
