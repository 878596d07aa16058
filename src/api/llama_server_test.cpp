#include "api/llama_server.h"

#include <gtest/gtest.h>

namespace sutazai::api::llama_server {
namespace {

TEST(LlamaServerRoutes, ATextToTokenizeIsBareUnlessSaidOtherwise) {
    const auto plain = parse_tokenize(R"({"content": "a <|im_end|>"})");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->request.task, Task::kRead);
    EXPECT_EQ(std::get<BareText>(plain->request.prompt), (BareText{"a <|im_end|>", false, true}));
    EXPECT_FALSE(plain->request.echo);
    const auto other = parse_tokenize(
        R"({"model": "m", "content": "", "add_special": true, "parse_special": false, "with_pieces": true})");
    ASSERT_TRUE(other);
    EXPECT_EQ(other->model, "m");
    EXPECT_EQ(std::get<BareText>(other->request.prompt), (BareText{"", true, false}));
    EXPECT_TRUE(other->request.echo);
}

TEST(LlamaServerRoutes, WhatIsWrongIsNamed) {
    EXPECT_EQ(parse_tokenize("{}").error().field, "content");
    EXPECT_EQ(parse_tokenize(R"({"content": 3})").error().field, "content");
    EXPECT_EQ(parse_tokenize(R"({"content": "a", "whatever": 1})").error().field, "whatever");
    EXPECT_EQ(parse_detokenize("{}").error().field, "tokens");
    EXPECT_EQ(parse_detokenize(R"({"tokens": "a"})").error().field, "tokens");
    EXPECT_EQ(parse_detokenize(R"({"tokens": [1, -2]})").error().field, "tokens[1]");
    EXPECT_EQ(parse_detokenize(R"({"tokens": [1, 2.5]})").error().field, "tokens[1]");
    EXPECT_EQ(parse_apply_template("{}").error().field, "messages");
    EXPECT_EQ(parse_apply_template(R"({"messages": [{"role": "cook", "content": ""}]})").error().field,
              "messages[0].role");
}

TEST(LlamaServerRoutes, TokensMayBeNone) {
    const auto none = parse_detokenize(R"({"tokens": []})");
    ASSERT_TRUE(none);
    EXPECT_TRUE(std::get<std::vector<std::int32_t>>(none->request.prompt).empty());
    EXPECT_EQ(encode_tokens({}), R"({"tokens":[]})");
    EXPECT_EQ(encode_content(""), R"({"content":""})");
}

TEST(LlamaServerRoutes, APieceThatIsNoTextIsItsBytes) {
    const std::vector<std::int32_t> tokens{198, 7};
    const std::vector<std::string> pieces{"\n", "\xE2\x82"};
    EXPECT_EQ(encode_tokens(tokens), R"({"tokens":[198,7]})");
    EXPECT_EQ(encode_pieces(tokens, pieces), R"({"tokens":[{"id":198,"piece":"\n"},{"id":7,"piece":[226,130]}]})");
}

}  // namespace
}  // namespace sutazai::api::llama_server
