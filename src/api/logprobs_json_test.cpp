#include "api/logprobs_json.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/parse.hpp>
#include <limits>

namespace sutazai::api {
namespace {

TEST(LogprobsJson, WritesTheOldShape) {
    const std::array scores{TokenScore{{"He", 0}, {}, false},
                            TokenScore{{"l\"", -0.5F}, {{"x", -0.25F}, {"l\"", -0.5F}}, true},
                            TokenScore{{"\xe2\x82", -3}, {{"\xe2\x82", -3}}, true},
                            TokenScore{{"\xac", -1}, {{"y", -0.75F}}, true}, TokenScore{{"ü", -2}, {}, true}};
    std::string out;
    std::size_t offset = 0;
    append_completion_logprobs(out, scores, offset);
    EXPECT_EQ(out,
              R"({"tokens":["He","l\"","bytes:\\xe2\\x82","bytes:\\xac","ü"],"token_logprobs":[null,-0.5,-3,-1,-2],)"
              R"("top_logprobs":[null,{"x":-0.25,"l\"":-0.5},{"bytes:\\xe2\\x82":-3},{"y":-0.75,"bytes:\\xac":-1},)"
              R"({"ü":-2}],"text_offset":[0,2,4,5,5]})");
    EXPECT_EQ(offset, 6U) << "the next chunk goes on from here; a character counts once";
    EXPECT_TRUE(boost::json::parse(out).is_object());
}

TEST(LogprobsJson, ANameComesOnceInAnObject) {
    const std::array scores{TokenScore{{"a", -2}, {{"a", -1}, {"a", -2}}, true}};
    std::string out;
    std::size_t offset = 0;
    append_completion_logprobs(out, scores, offset);
    EXPECT_NE(out.find(R"("top_logprobs":[{"a":-1}])"), std::string::npos) << out;
}

TEST(LogprobsJson, WhatIsNotFiniteIsStillANumber) {
    std::string out;
    append_logprob(out, -std::numeric_limits<float>::infinity());
    EXPECT_EQ(out, "-9999.0");
}

TEST(LogprobsJson, NoTokensAreEmptyLists) {
    std::string out;
    std::size_t offset = 3;
    append_completion_logprobs(out, {}, offset);
    append_chat_logprobs(out, {});
    EXPECT_EQ(out, R"({"tokens":[],"token_logprobs":[],"top_logprobs":[],"text_offset":[]})"
                   R"({"content":[],"refusal":null})");
}

}  // namespace
}  // namespace sutazai::api
