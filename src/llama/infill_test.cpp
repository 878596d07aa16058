// What a model that fills gaps reads around one.
#include "llama/infill.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "llama/testing/test_models.h"

namespace sutazai::llama {
namespace {

/// StarCoder's vocabulary has tokens for gaps and files.
const Model& coder() {
    static const std::unique_ptr<Model> model = load_test_model("toy-coder", 256);
    return *model;
}

std::string text_of(std::span<const Token> tokens) {
    std::string text;
    for (const Token token : tokens) text += coder().piece(token);
    return text;
}

Result<std::vector<Token>> read(Infill gap, std::size_t most = 4096, int max_tokens = -1) {
    gap.trims = true;
    GenerationRequest request;
    request.prompt = std::move(gap);
    request.max_tokens = max_tokens;
    return coder().tokenize(request, most);
}

TEST(Infill, FilesComeBeforeTheGapAndWhatIsBegunLast) {
    const auto tokens = read({"def f(", "\n    return x", "a", {{"b.py", "import os"}, {"tmp", "y = 1"}}});
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(text_of(*tokens),
              "<repo_name>myproject\n<file_sep>b.py\nimport os<file_sep>tmp\ny = 1<file_sep>filename\n"
              "<fim_prefix>def f(<fim_suffix>\n    return x<fim_middle>a");
}

TEST(Infill, NamesOfControlTokensInCodeAreText) {
    const auto tokens = read({"<fim_middle>", "<|endoftext|>"});
    ASSERT_TRUE(tokens);
    const Token middle = coder().token_named("<fim_middle>").value();
    EXPECT_EQ(std::ranges::count(*tokens, middle), 1);
    EXPECT_EQ(tokens->back(), middle);
}

TEST(Infill, WhatIsFurthestFromTheGapIsLeftOut) {
    std::string before;
    std::string behind;
    std::string file;
    for (int i = 0; i < 3000; ++i) {
        before += " before" + std::to_string(i);
        behind += " behind" + std::to_string(i);
        file += " file" + std::to_string(i);
    }
    const auto tokens = read({before, behind, {}, {{"f", file}}}, 4000, 500);
    ASSERT_TRUE(tokens) << tokens.error().message;
    EXPECT_EQ(tokens->size(), 3500U);
    const std::string text = text_of(*tokens);
    EXPECT_NE(text.find("before2999<fim_suffix> behind0 "), std::string::npos);
    EXPECT_NE(text.find("<file_sep>filename\n<fim_prefix>"), std::string::npos);
    EXPECT_NE(text.find("file2999"), std::string::npos);
    EXPECT_EQ(text.find("before0 "), std::string::npos);
    EXPECT_EQ(text.find("behind2999"), std::string::npos);
    EXPECT_EQ(text.find("file0 "), std::string::npos);
}

TEST(Infill, HoweverLittleRoomThereIsItFits) {
    for (std::size_t most = 5; most < 60; ++most) {
        const auto tokens = read({"a b c d e f g h", "i j k l m n o p", "q"}, most);
        ASSERT_TRUE(tokens) << most;
        EXPECT_LE(tokens->size(), most);
    }
    const auto too_long = read({"a", "b", "one two three four five six"}, 6);
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().code, ErrorCode::kContextOverflow);
}

TEST(Infill, AModelWithoutTheTokensSaysSo) {
    const auto model = load_test_model("toy", 256);
    for (const bool trims : {false, true}) {
        GenerationRequest request;
        request.prompt = Infill{.prefix = "a", .suffix = "b", .trims = trims};
        const auto tokens = model->tokenize(request);
        ASSERT_FALSE(tokens);
        EXPECT_EQ(tokens.error().field, "suffix");
    }
}

}  // namespace
}  // namespace sutazai::llama
