#include "models/backoff.h"

#include <gtest/gtest.h>

namespace sutazai::models {
namespace {

using namespace std::chrono_literals;

/// How long it refuses from `now` on.
std::chrono::milliseconds refusal(const Backoff& backoff, Backoff::Clock::time_point now) {
    std::chrono::milliseconds length{0};
    while (backoff.refuses(now + length)) length += 1ms;
    return length;
}

TEST(Backoff, FailedLoadsDoubleUpToTheLongest) {
    Backoff backoff(500ms, 3s, 30s);
    const Backoff::Clock::time_point now{100h};
    EXPECT_EQ(refusal(backoff, now), 0ms);
    for (const auto expected : {500ms, 1000ms, 2000ms, 3000ms, 3000ms}) {
        backoff.load_failed(now);
        EXPECT_EQ(refusal(backoff, now), expected);
    }
    EXPECT_EQ(backoff.retry_after_s(now), 3);
    EXPECT_EQ(backoff.retry_after_s(now + 2900ms), 1);
}

TEST(Backoff, TheFirstCrashIsFreeAndTheNextOnesAreNot) {
    Backoff backoff(500ms, 30s, 30s);
    const Backoff::Clock::time_point now{100h};
    for (const auto expected : {0ms, 500ms, 1000ms, 2000ms}) {
        backoff.crashed(now, 10s);
        EXPECT_EQ(refusal(backoff, now), expected);
    }
    backoff.crashed(now, 31s);
    EXPECT_EQ(refusal(backoff, now), 0ms) << "it had been stable";
    backoff.crashed(now, 10s);
    EXPECT_EQ(refusal(backoff, now), 500ms);
}

TEST(Backoff, ACrashAndThenAFailedLoad) {
    Backoff backoff(500ms, 30s, 30s);
    const Backoff::Clock::time_point now{100h};
    backoff.crashed(now, 10s);
    backoff.load_failed(now);
    EXPECT_EQ(refusal(backoff, now), 500ms);
    backoff.forget();
    EXPECT_EQ(refusal(backoff, now), 0ms);
    backoff.load_failed(now);
    EXPECT_EQ(refusal(backoff, now), 500ms);
}

}  // namespace
}  // namespace sutazai::models
