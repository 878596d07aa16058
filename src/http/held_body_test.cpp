#include "http/held_body.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace sutazai::http {
namespace {

constexpr std::size_t kMost = 1 << 20;
constexpr std::size_t kFree = BodyBudget::kFreeBytes;

TEST(HeldBody, IsWhatWasAppended) {
    const BodyBudget budget(kMost);
    HeldBody body(budget);
    std::string all;
    for (int i = 0; i < 20'000; ++i) {
        const std::string piece = std::to_string(i);
        ASSERT_TRUE(body.append(piece, kMost));
        all += piece;
    }
    EXPECT_EQ(body.text(), all);
    const HeldBody moved = std::move(body);
    EXPECT_EQ(moved.text(), all);
    EXPECT_EQ(body.text(), "");  // NOLINT(bugprone-use-after-move): that it is empty is the point
}

TEST(HeldBody, ChargesWhatItTakesBeyondAFreePart) {
    const BodyBudget budget(kMost);
    {
        HeldBody body(budget);
        ASSERT_TRUE(body.append(std::string(kFree, 'x'), kMost));
        EXPECT_EQ(budget.charged_bytes(), 0);
        ASSERT_TRUE(body.append("x", kMost));
        EXPECT_EQ(budget.charged_bytes(), kFree) << "its memory was doubled";
        ASSERT_TRUE(body.append(std::string(300'000, 'x'), 400'000));
        EXPECT_EQ(budget.charged_bytes(), 300'001);
        ASSERT_TRUE(body.append("x", 400'000));
        EXPECT_EQ(budget.charged_bytes(), 400'000 - kFree) << "it will not get longer than that";
        HeldBody moved = std::move(body);
        EXPECT_EQ(budget.charged_bytes(), 400'000 - kFree);
        moved = HeldBody(budget);
        EXPECT_EQ(budget.charged_bytes(), 0);
    }
    EXPECT_EQ(budget.charged_bytes(), 0);
}

TEST(HeldBody, WhatHasNoRoomIsRefusedAndSmallBodiesNever) {
    const BodyBudget budget(kMost);
    std::optional<HeldBody> large(budget);
    EXPECT_TRUE(budget.has_room_for(kMost + kFree));
    EXPECT_FALSE(budget.has_room_for(kMost + kFree + 1));
    ASSERT_TRUE(large->append(std::string(kMost, 'x'), kMost));
    HeldBody second(budget);
    ASSERT_TRUE(second.append(std::string(kFree, 'y'), kMost));
    EXPECT_FALSE(second.append(std::string(kFree + 1, 'y'), kMost));
    EXPECT_EQ(second.text().size(), kFree) << "as it was";
    EXPECT_FALSE(budget.has_room_for(3 * kFree));
    std::vector<HeldBody> small;
    for (int i = 0; i < 50; ++i) {
        small.emplace_back(budget);
        EXPECT_TRUE(small.back().append(std::string(kFree, 'z'), kFree));
    }
    large.reset();
    EXPECT_TRUE(second.append(std::string(kFree + 1, 'y'), kMost));
}

TEST(HeldBody, MayOutliveItsBudget) {
    HeldBody body;
    {
        const BodyBudget budget(kMost);
        body = HeldBody(budget);
        ASSERT_TRUE(body.append(std::string(kMost, 'x'), kMost));
    }
    HeldBody other = body.sibling();
    EXPECT_FALSE(other.append(std::string(kMost, 'x'), kMost));
    body = {};
    EXPECT_TRUE(other.append(std::string(kMost, 'x'), kMost));
}

}  // namespace
}  // namespace sutazai::http
