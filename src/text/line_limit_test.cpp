#include "text/line_limit.h"

#include <gtest/gtest.h>

#include <string>

namespace sutazai::text {
namespace {

using std::chrono::milliseconds;

/// What goes out of a text that comes in pieces of so many bytes.
std::string kept(LineLimit limit, std::string_view text, std::size_t step, milliseconds each = milliseconds(0)) {
    std::string out;
    milliseconds elapsed{0};
    for (std::size_t at = 0; at < text.size(); at += step, elapsed += each) {
        const std::string_view piece = text.substr(at, step);
        const auto verdict = limit.push(piece, elapsed);
        out += piece.substr(0, verdict.n_bytes);
        if (verdict.ends) return out + "|";
    }
    return out;
}

TEST(LineLimit, ALineThatIsIndentedLessEndsIt) {
    for (std::size_t step = 1; step < 8; ++step) {
        EXPECT_EQ(kept({4, {}}, "a\n    b\n\tc", step), "a\n    b\n\t|") << step;
        EXPECT_EQ(kept({2, {}}, "x = 1\n  y\n  z\nend", step), "x = 1\n  y\n  z\n|") << step;
        EXPECT_EQ(kept({1, {}}, "a\n\n b", step), "a\n|") << step;  // an empty line is indented by nothing
    }
}

TEST(LineLimit, TheFirstLineMayBeginAnywhere) {
    EXPECT_EQ(kept({8, {}}, "return 1;", 3), "return 1;");
    EXPECT_EQ(kept({8, {}}, "a\n        b", 3), "a\n        b");
    EXPECT_EQ(kept({2, {}}, "a\n ", 1), "a\n ");  // not decided yet
}

TEST(LineLimit, WhatTakesTooLongEndsWithItsLine) {
    EXPECT_EQ(kept({0, milliseconds(25)}, "ab\ncd\nef", 1, milliseconds(10)), "ab\ncd\n|");
    EXPECT_EQ(kept({0, milliseconds(25)}, "abcdefgh", 1, milliseconds(10)), "abcdefgh");
}

TEST(LineLimit, NoneLimitsNothing) {
    EXPECT_FALSE(LineLimit().limits());
    EXPECT_EQ(kept({}, "a\nb\n\nc", 2, milliseconds(1000)), "a\nb\n\nc");
}

}  // namespace
}  // namespace sutazai::text
