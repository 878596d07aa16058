#include "api/sampler_fields.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::api {
namespace {

Result<SamplingParams> read(const std::string& text, SamplingParams usual = {}) {
    const boost::json::value value = boost::json::parse(text);
    std::optional<Error> error;
    FieldReader fields(value.get_object(), error);
    read_more_sampling(fields, usual);
    read_logit_bias(fields, usual);
    if (error) return std::unexpected(*error);
    return usual;
}

TEST(SamplerFields, WhatChangesNothingLeavesTheQuickWay) {
    for (const char* idle :
         {"{}", R"({"typical_p": 1, "mirostat": 0, "xtc_probability": 0, "xtc_threshold": 0.5, "top_n_sigma": -1})",
          R"({"repeat_last_n": 128})", R"({"dry_multiplier": 0, "dry_base": 2})", R"({"samplers": []})",
          R"({"logit_bias": {}})", R"({"dynatemp_range": 0, "min_keep": 1})"}) {
        const auto params = read(idle);
        ASSERT_TRUE(params) << idle << params.error().message;
        EXPECT_FALSE(changes_chain(*params)) << idle;
        EXPECT_EQ(penalty_window(*params), std::size_t{kPenaltyWindowTokens});
        EXPECT_TRUE(params->logit_bias.empty());
    }
}

TEST(SamplerFields, EachOfThemIsRead) {
    const auto params = read(R"({"top_n_sigma": 1.5, "typical_p": 0.5, "xtc_probability": 0.25, "xtc_threshold": 0.2,
        "dynatemp_range": 0.5, "dynatemp_exponent": 2, "dry_multiplier": 0.75, "dry_base": 2, "dry_allowed_length": 3,
        "dry_penalty_last_n": -1, "dry_sequence_breakers": ["x"], "mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.5,
        "min_keep": 2, "repeat_last_n": 8, "samplers": ["top_k", "typical_p", "infill"]})");
    ASSERT_TRUE(params) << params.error().message;
    const MoreSampling expected{8,
                                1.5F,
                                0.5F,
                                0.25F,
                                0.2F,
                                0.5F,
                                2,
                                0.75F,
                                2,
                                3,
                                kMostPenaltyWindow,
                                {"x"},
                                2,
                                4,
                                0.5F,
                                2,
                                {"top_k", "typ_p", "infill"}};
    EXPECT_EQ(*params->more, expected);
}

TEST(SamplerFields, AWindowCountsWhereThereIsAPenalty) {
    SamplingParams usual;
    usual.repeat_penalty = 1.1F;
    EXPECT_FALSE(changes_chain(*read(R"({"repeat_last_n": 64})", usual)));
    EXPECT_TRUE(changes_chain(*read(R"({"repeat_last_n": 0})", usual)));
    EXPECT_EQ(penalty_window(*read(R"({"repeat_last_n": 300})", usual)), 300U);
    EXPECT_EQ(read(R"({"repeat_last_n": -1})", usual)->more->repeat_last_n, kMostPenaltyWindow);
}

TEST(SamplerFields, BiasesComeInTwoShapes) {
    constexpr auto kNever = -std::numeric_limits<float>::infinity();
    const std::vector<LogitBias> expected{{7, -100}, {9, 0.5F}};
    EXPECT_EQ(read(R"({"logit_bias": {"7": -100, "9": 0.5}})")->logit_bias, expected);
    EXPECT_EQ(read(R"({"logit_bias": [[7, -100], [9, 0.5]]})")->logit_bias, expected);
    EXPECT_EQ(read(R"({"logit_bias": [[7, false]]})")->logit_bias, (std::vector<LogitBias>{{7, kNever}}));
}

TEST(SamplerFields, WhatIsWrongIsNamed) {
    const std::pair<const char*, const char*> wrong[] = {
        {R"({"typical_p": 0})", "typical_p"},
        {R"({"mirostat": 3})", "mirostat"},
        {R"({"dry_base": 0.5})", "dry_base"},
        {R"({"repeat_last_n": -2})", "repeat_last_n"},
        {R"({"samplers": ["top_k", "magic"]})", "samplers[1]"},
        {R"({"samplers": "k"})", "samplers"},
        {R"({"dry_sequence_breakers": [""]})", "dry_sequence_breakers[0]"},
        {R"({"logit_bias": 3})", "logit_bias"},
        {R"({"logit_bias": {"Hello": 1}})", "logit_bias.Hello"},
        {R"({"logit_bias": {"5": "x"}})", "logit_bias.5"},
        {R"({"logit_bias": {"5": 1e30}})", "logit_bias.5"},
        {R"({"logit_bias": {"5": true}})", "logit_bias.5"},
        {R"({"logit_bias": [[5]]})", "logit_bias[0]"},
        {R"({"logit_bias": [[5, 1], ["a", 1]]})", "logit_bias[1]"},
    };
    for (const auto& [text, field] : wrong) {
        const auto params = read(text);
        ASSERT_FALSE(params) << text;
        EXPECT_EQ(params.error().field, field) << text;
    }
    std::string many = R"({"logit_bias": {)";
    for (std::size_t i = 0; i <= kMostLogitBiases; ++i) many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\": 1";
    EXPECT_EQ(read(many + "}}").error().field, "logit_bias");
}

}  // namespace
}  // namespace sutazai::api
