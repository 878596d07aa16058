#include "fetch/ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sutazai::fetch {
namespace {

TEST(RangeSet, IsTheSetOfItsBytes) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        constexpr std::uint64_t kSize = 60;
        RangeSet set;
        std::vector<bool> truth(kSize);
        for (int i = 0; i < 12; ++i) {
            const std::uint64_t begin = random() % kSize;
            const std::uint64_t end = std::min(kSize, begin + random() % 9);
            set.add({begin, end});
            for (auto at = begin; at < end; ++at) truth[at] = true;
            ASSERT_EQ(set.bytes(), static_cast<std::uint64_t>(std::ranges::count(truth, true)));
            ASSERT_EQ(set.front(), static_cast<std::uint64_t>(std::ranges::find(truth, false) - truth.begin()));
            for (std::size_t n = 1; n < set.ranges().size(); ++n) {
                ASSERT_GT(set.ranges()[n].begin, set.ranges()[n - 1].end) << "they do not touch";
            }
            std::vector<bool> filled = truth;
            for (const Range& range : set.missing(kSize, 5)) {
                ASSERT_GE(range.bytes(), 1U);
                ASSERT_LE(range.bytes(), 5U);
                for (auto at = range.begin; at < range.end; ++at) {
                    ASSERT_FALSE(filled[at]);
                    filled[at] = true;
                }
            }
            ASSERT_EQ(std::ranges::count(filled, false), 0);
        }
    }
}

TEST(PartialState, ComesBackAsItWas) {
    PartialState state{1000, "\"etag\\\"", {}};
    state.done.add({0, 10});
    state.done.add({20, 1000});
    state.boot = "a-b-c";
    state.synced.add({5, 7});
    EXPECT_EQ(decode_state(encode_state(state)), state);
    EXPECT_EQ(decode_state(encode_state({})), PartialState{});
}

TEST(PartialState, WhatNobodyWroteIsNone) {
    for (const char* const text : {
             "",
             "{",
             "[]",
             "null",
             R"({"version":2,"size":9,"done":[],"boot":"","synced":[]})",
             R"({"version":1,"size":9,"validator":"","done":[]})",
             R"({"version":1,"size":9,"validator":"","done":[],"boot":"","synced":[]})",
             R"({"version":2,"size":-9,"validator":"","done":[],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":7,"done":[],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[],"boot":7,"synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[],"boot":"","synced":{}})",
             R"({"version":2,"size":9,"validator":"","done":[],"boot":"","synced":[[0,10]]})",
             R"({"version":2,"size":9,"validator":"","done":[[0]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[0,10]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[3,3]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[4,2]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[0,2],[2,3]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[4,6],[0,2]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[["0",2]],"boot":"","synced":[]})",
             R"({"version":2,"size":9,"validator":"","done":[[0,2.5]],"boot":"","synced":[]})",
             R"({"version":2,"size":99999999999999999999999,"validator":"","done":[],"boot":"","synced":[]})",
         }) {
        EXPECT_FALSE(decode_state(text)) << text;
    }
}

TEST(ContentRange, IsReadStrictly) {
    const auto read = parse_content_range("bytes 5-9/10");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->range, (Range{5, 10}));
    EXPECT_EQ(read->size, 10U);
    for (const char* const text :
         {"", "bytes", "bytes 5-9", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "bytes -5-9/10",
          "items 5-9/10", "bytes 5-9/10 ", "bytes 5-9/99999999999999999999"}) {
        EXPECT_FALSE(parse_content_range(text)) << text;
    }
}

}  // namespace
}  // namespace sutazai::fetch
