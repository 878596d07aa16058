#include "ipc/watch.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <utility>

namespace sutazai::ipc {
namespace {

wire::Pong pong(std::initializer_list<std::pair<const char*, std::uint64_t>> works) {
    wire::Pong out;
    for (const auto& [what, progress] : works) {
        wire::Work& work = *out.add_busy();
        work.set_what(what);
        work.set_progress(progress);
    }
    return out;
}

TEST(Watch, AnEngineThatAnswersNothingIsGivenUpAfterSoManyLooks) {
    Watch watch;
    EXPECT_FALSE(watch.look());
    EXPECT_TRUE(watch.takes_ping());
    for (int i = 1; i < Watch::kLooks; ++i) {
        EXPECT_FALSE(watch.look()) << i;
        EXPECT_FALSE(watch.takes_ping()) << "one ping is under way";
    }
    EXPECT_EQ(watch.look(), "answered nothing");
}

TEST(Watch, AnAnswerOfAnyTimeIsEnough) {
    Watch watch;
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(watch.look());
        if (watch.takes_ping() || i % Watch::kLooks != Watch::kLooks - 1) continue;
        watch.answered(pong({{"a step", static_cast<std::uint64_t>(i)}}));
    }
}

TEST(Watch, TheSamePointOfTheSameWorkIsAHang) {
    Watch watch;
    int looks = 0;
    std::optional<std::string> hangs;
    for (; !hangs && looks < 100; ++looks) {
        hangs = watch.look();
        EXPECT_TRUE(watch.takes_ping());
        watch.answered(pong({{"a preparation", static_cast<std::uint64_t>(looks)}, {"a step", 7}}));
    }
    EXPECT_EQ(hangs, "got no further with a step");
    EXPECT_GE(looks, Watch::kLooks);
    EXPECT_LE(looks, Watch::kLooks + 2);
}

TEST(Watch, WorkThatEndsAndBeginsAgainIsAnother) {
    Watch watch;
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(watch.look());
        (void)watch.takes_ping();
        watch.answered(i % (Watch::kLooks - 1) == 0 ? pong({}) : pong({{"a step", 7}}));
    }
}

TEST(Watch, RestsWhenAnEngineAtNothingHasAnswered) {
    Watch watch;
    EXPECT_FALSE(watch.at_rest()) << "it has not been asked";
    (void)watch.takes_ping();
    EXPECT_FALSE(watch.at_rest());
    watch.answered(pong({{"a step", 1}}));
    EXPECT_FALSE(watch.at_rest());
    (void)watch.takes_ping();
    watch.answered(pong({}));
    EXPECT_TRUE(watch.at_rest());
    (void)watch.takes_ping();
    EXPECT_FALSE(watch.at_rest());
}

TEST(Watch, AnAnswerThatNobodyAskedForSaysNothing) {
    Watch watch;
    watch.answered(pong({{"a step", 1}}));
    EXPECT_FALSE(watch.at_rest());
    EXPECT_FALSE(watch.look());
}

}  // namespace
}  // namespace sutazai::ipc
