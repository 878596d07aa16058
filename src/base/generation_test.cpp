#include "base/generation.h"

#include <gtest/gtest.h>

namespace sutazai {
namespace {

TEST(Delta, WhatComesLaterIsAppendedEachToItsOwn) {
    Delta all{.content = "Let me", .reasoning = "Hm"};
    all.append({.content = " look.", .tool_calls = {{0, "call_1", "weather", "{"}}});
    all.append({.reasoning = "m.", .tool_calls = {{0, "", "", "\"city\":1}"}, {1, "call_2", "time", "{}"}}});
    EXPECT_EQ(all,
              (Delta{"Let me look.", "Hmm.", {{0, "call_1", "weather", "{\"city\":1}"}, {1, "call_2", "time", "{}"}}}));
    EXPECT_EQ(all.text_bytes(), 12U + 4U + (6U + 7U + 10U) + (6U + 4U + 2U));
}

TEST(Delta, IsEmptyOnlyWithoutAnything) {
    EXPECT_TRUE(Delta().empty());
    EXPECT_FALSE(Delta{.content = "a"}.empty());
    EXPECT_FALSE(Delta{.reasoning = "a"}.empty());
    EXPECT_FALSE((Delta{.tool_calls = {{0, "id", "f", ""}}}.empty()));
}

}  // namespace
}  // namespace sutazai
