#include "cli/work_view.h"

#include <gtest/gtest.h>

namespace sutazai::cli {
namespace {

using namespace std::chrono_literals;

TEST(WorkText, FitsTheTerminal) {
    const WorkProgress half{"pulling 170370233dd5", "sha256:x", 2ULL << 30, 1ULL << 30};
    EXPECT_EQ(work_text(half, 64 << 20, 80),
              "pulling 170370233dd5   50%  [#########          ] 1 GiB of 2 GiB  64 MiB/s  16s");
    for (const std::size_t width : {10U, 30U, 50U, 79U, 200U}) {
        EXPECT_LE(work_text(half, 64 << 20, width).size(), width);
    }
    EXPECT_EQ(work_text({"writing manifest"}, 0, 80), "writing manifest");
    EXPECT_EQ(work_text({"x", "", 4, 4}, 9, 30), "x  100%  [#######] 4 B of 4 B");
    EXPECT_EQ(work_text({"x", "", 4, 9}, 0, 20), "x  100%  4 B of 4 B") << "more than there is";
}

TEST(TimeLeft, IsShort) {
    EXPECT_EQ(time_left_text(0.2), "1s");
    EXPECT_EQ(time_left_text(65), "1m05s");
    EXPECT_EQ(time_left_text(3780), "1h03m");
    EXPECT_EQ(time_left_text(1e12), "99h59m");
}

TEST(Rate, IsOfTheLastSeconds) {
    Rate rate;
    const Rate::Clock::time_point start{};
    EXPECT_EQ(rate.per_second(), 0);
    rate.add(0, start);
    rate.add(100, start + 100ms);
    EXPECT_EQ(rate.per_second(), 0) << "too little to say";
    rate.add(1000, start + 1s);
    EXPECT_EQ(rate.per_second(), 1000);
    for (int second = 2; second <= 20; ++second) rate.add(1000, start + second * 1s);
    EXPECT_EQ(rate.per_second(), 0) << "nothing came for long";
    rate.add(10, start + 21s);
    EXPECT_EQ(rate.per_second(), 0) << "it began again";
    rate.add(20, start + 22s);
    EXPECT_EQ(rate.per_second(), 10);
}

}  // namespace
}  // namespace sutazai::cli
