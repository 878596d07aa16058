#include "api/openai_embeddings.h"

#include "api/vectors.h"

#include <gtest/gtest.h>

#include <array>

namespace sutazai::api::openai {
namespace {

Result<EmbeddingsRequest> with(std::string_view fields) {
    return parse_embeddings("{" + std::string(fields) + "}", 10);
}

std::string refusal(std::string_view fields) {
    const auto result = with(fields);
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

TEST(Embeddings, ReadsEveryField) {
    const auto request = with(
        R"("model": "m", "input": ["a", [1, 2]], "encoding_format": "base64", "dimensions": 8, "priority": 2, "user": "u")");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->base64);
    EXPECT_EQ(request->dimensions, 8U);
    const auto all = request->generations();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].task, Task::kEmbed);
    EXPECT_EQ(std::get<std::string>(all[0].prompt), "a");
    EXPECT_EQ(std::get<std::vector<std::int32_t>>(all[1].prompt), (std::vector<std::int32_t>{1, 2}));
    EXPECT_EQ(all[1].priority, 2);
    EXPECT_FALSE(with(R"("input": "a")")->base64);
}

TEST(Embeddings, SaysWhatIsWrong) {
    EXPECT_EQ(refusal(R"("model": "m")"), "input: input is missing");
    EXPECT_EQ(refusal(R"("input": "")"), "input: input must not be empty");
    EXPECT_EQ(refusal(R"("input": ["a", ""])"), "input[1]: input[1] must not be empty");
    EXPECT_EQ(refusal(R"("input": "a", "encoding_format": "int8")"),
              "encoding_format: encoding_format must be float or base64");
    EXPECT_EQ(refusal(R"("input": "a", "dimensions": 0)"),
              "dimensions: dimensions must be between 1 and 65536 (got 0)");
    EXPECT_EQ(refusal(R"("input": ["a","a","a","a","a","a","a","a","a","a","a"])"),
              "input: input must hold at most 10 entries (got 11)");
}

TEST(Embeddings, ShorterVectorsHaveLengthOneAgain) {
    std::vector<float> embedding{0.6F, 0.0F, 0.8F};
    ASSERT_TRUE(shorten(embedding, 0));
    EXPECT_EQ(embedding.size(), 3U);
    ASSERT_TRUE(shorten(embedding, 2));
    EXPECT_EQ(embedding, (std::vector<float>{1.0F, 0.0F}));
    const auto longer = shorten(embedding, 3);
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().field, "dimensions");
    EXPECT_EQ(longer.error().message, "dimensions must be at most 2, which is what this model makes (got 3)");
    std::vector<float> zeros{0, 0, 1};
    ASSERT_TRUE(shorten(zeros, 2));
    EXPECT_EQ(zeros, (std::vector<float>{0, 0}));
}

TEST(Embeddings, WritesTheGoldenAnswers) {
    const std::array<std::vector<float>, 2> two{{{1.0F, -0.5F}, {0.25F}}};
    EXPECT_EQ(encode_embeddings("m", two, false, 7),
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,-0.5]},)"
              R"({"object":"embedding","index":1,"embedding":[0.25]}],"model":"m",)"
              R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
    EXPECT_EQ(encode_embeddings("m", two, true, 7),
              R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAL8="},)"
              R"({"object":"embedding","index":1,"embedding":"AACAPg=="}],"model":"m",)"
              R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
}

}  // namespace
}  // namespace sutazai::api::openai
