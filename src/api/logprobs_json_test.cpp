#include "api/logprobs_json.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/parse.hpp>
#include <limits>

#include "base/json_text.h"

namespace sutazai::api {
namespace {

TEST(LogprobsJson, WritesTheOldShape) {
    const std::array scores{TokenScore{{"He", 0}, {}, false},
                            TokenScore{{"l\"", -0.5F}, {{"x", -0.25F}, {"l\"", -0.5F}}, true},
                            TokenScore{{"\xe2\x82", -3}, {{"\xe2\x82", -3}}, true},
                            TokenScore{{"\xac", -1}, {{"y", -0.75F}}, true}, TokenScore{{"ü", -2}, {}, true}};
    std::size_t offset = 0;
    const std::string out = to_json(completion_logprobs(scores, offset));
    EXPECT_EQ(
        out,
        R"({"tokens":["He","l\"","bytes:\\xe2\\x82","bytes:\\xac","ü"],"token_logprobs":[null,-0.5,-3.0,-1.0,-2.0],)"
        R"("top_logprobs":[null,{"x":-0.25,"l\"":-0.5},{"bytes:\\xe2\\x82":-3.0},{"y":-0.75,"bytes:\\xac":-1.0},)"
        R"({"ü":-2.0}],"text_offset":[0,2,4,5,5]})");
    EXPECT_EQ(offset, 6U) << "the next chunk goes on from here; a character counts once";
    EXPECT_TRUE(boost::json::parse(out).is_object());
}

TEST(LogprobsJson, ANameComesOnceInAnObject) {
    const std::array scores{TokenScore{{"a", -2}, {{"a", -1}, {"a", -2}}, true}};
    std::size_t offset = 0;
    const std::string out = to_json(completion_logprobs(scores, offset));
    EXPECT_NE(out.find(R"("top_logprobs":[{"a":-1.0}])"), std::string::npos) << out;
}

TEST(LogprobsJson, WhatIsNotFiniteIsStillANumber) {
    const std::array scores{TokenScore{{"a", -std::numeric_limits<float>::infinity()}, {}, true}};
    EXPECT_EQ(to_json(chat_logprobs(scores)),
              R"({"content":[{"token":"a","logprob":-9999.0,"bytes":[97],"top_logprobs":[]}],"refusal":null})");
}

TEST(LogprobsJson, NoTokensAreEmptyLists) {
    std::size_t offset = 3;
    EXPECT_EQ(to_json(completion_logprobs({}, offset)),
              R"({"tokens":[],"token_logprobs":[],"top_logprobs":[],"text_offset":[]})");
    EXPECT_EQ(to_json(chat_logprobs({})), R"({"content":[],"refusal":null})");
}

}  // namespace
}  // namespace sutazai::api
