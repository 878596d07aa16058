// What the server is told of an engine's threads: from one look to the next they have got on, or they hang.
#include "engine/progress.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

TEST(Progress, TellsWorkFromRestAndOneWorkFromTheNext) {
    Progress progress;
    EXPECT_FALSE(progress.at_work());
    std::uint64_t before = progress.count();
    {
        const Progress::Turn turn(progress);
        EXPECT_TRUE(progress.at_work());
        EXPECT_NE(progress.count(), before);
        before = progress.count();
        progress.begin();
        EXPECT_EQ(progress.count(), before) << "it has begun";
        progress.advance();
        EXPECT_TRUE(progress.at_work());
        EXPECT_NE(progress.count(), before);
        before = progress.count();
    }
    EXPECT_FALSE(progress.at_work());
    progress.end();
    EXPECT_FALSE(progress.at_work());
    const Progress::Turn turn(progress);
    EXPECT_NE(progress.count(), before);
}

TEST(Engine, IsAtNothingWhenItRests) {
    Harness harness;
    (void)harness.ask(greedy("Once upon a time", 5));
    harness.engine().wait_until_idle();
    EXPECT_TRUE(harness.engine().works().empty());
}

TEST(Engine, GetsOnWithinAStep) {
    Harness harness;
    std::string prompt;
    while (prompt.size() < 4000) prompt += "one two ";
    const RequestId id = harness.submit(greedy(prompt, 1));
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    while (harness.tokens_of(id) == 0) {
        for (const Work& work : harness.engine().works()) {
            if (std::strcmp(work.what, "a step") != 0) continue;
            if (first == 0) first = work.progress;
            last = work.progress;
        }
    }
    // A step that counted only its beginning and its end would make it two a step.
    EXPECT_GT(last - first, 3 * harness.stats().steps);
}

}  // namespace
}  // namespace sutazai::engine
