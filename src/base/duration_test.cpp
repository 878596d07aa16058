#include "base/duration.h"

#include <gtest/gtest.h>

namespace sutazai {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsWhatOllamaReads) {
    EXPECT_EQ(parse_duration("5m"), 5min);
    EXPECT_EQ(parse_duration("1h30m"), 90min);
    EXPECT_EQ(parse_duration("1.5h"), 90min);
    EXPECT_EQ(parse_duration("300ms"), 300ms);
    EXPECT_EQ(parse_duration("1m.5s"), 60500ms);
    EXPECT_EQ(parse_duration("42"), 42s);
    EXPECT_EQ(parse_duration("0"), 0s);
    EXPECT_EQ(parse_duration("-1"), -1s);
    EXPECT_EQ(parse_duration("-5m"), -5min);
    EXPECT_EQ(parse_duration("+2s"), 2s);
}

TEST(Duration, RefusesTheRest) {
    for (const char* text :
         {"", "-", "m", "5 m", "5d", "5m3", "inf", "nan", "1e3", "--5", "5m-3s", "0x10", "9e9h", "99999999999h"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
    EXPECT_FALSE(duration_from_seconds(1e300));
}

TEST(Duration, TheShortestIsNotZero) {
    EXPECT_EQ(duration_from_seconds(1e-9), 1ms);
    EXPECT_EQ(duration_from_seconds(-1e-9), -1ms);
    EXPECT_EQ(duration_from_seconds(0.25), 250ms);
}

TEST(Duration, ShowsKeepAlives) {
    EXPECT_EQ(show_keep_alive(-5ms), "forever");
    EXPECT_EQ(show_keep_alive(0ms), "0s");
    EXPECT_EQ(show_keep_alive(300ms), "300ms");
    EXPECT_EQ(show_keep_alive(5min), "5m");
    EXPECT_EQ(show_keep_alive(90min), "1h30m");
    EXPECT_EQ(show_keep_alive(2500ms), "2.5s");
    for (const auto value : {300ms, 2500ms, 5400000ms, 61000ms})
        EXPECT_EQ(parse_duration(show_keep_alive(value)), value);
}

}  // namespace
}  // namespace sutazai
