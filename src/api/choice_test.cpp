#include "api/choice.h"

#include <gtest/gtest.h>

#include <array>

namespace sutazai::api {
namespace {

TEST(Choice, UsageCountsAPromptOnceAndWhatAllOfItsChoicesFoundCached) {
    const std::array<Usage, 4> usages{{{10, 3, 0}, {10, 4, 9}, {20, 5, 16}, {20, 6, 18}}};
    EXPECT_EQ(total_usage(usages, 2), (Usage{30, 18, 16}));
    EXPECT_EQ(total_usage(usages, 1), (Usage{60, 18, 43}));
    EXPECT_EQ(total_usage(std::span<const Usage>(), 3), Usage{});
}

TEST(Choice, TheMeanIsThatOfTheGeneratedTokens) {
    Choice choice;
    EXPECT_EQ(mean_logprob(choice), 0);
    choice.scores = {{{"a", -1}}, {{"b", -2}}};
    EXPECT_DOUBLE_EQ(mean_logprob(choice), -1.5);
    choice.scores.insert(choice.scores.begin(), {{{"p", 0}, {}, false}, {{"q", -100}}});
    choice.finished.usage.prompt_tokens = 2;
    EXPECT_DOUBLE_EQ(mean_logprob(choice), -1.5) << "the echoed prompt does not count";
}

}  // namespace
}  // namespace sutazai::api
