#include "api/rerank.h"

#include <gtest/gtest.h>

namespace sutazai::api::rerank {
namespace {

constexpr float kScores[] = {0.5F, -3.25F, 2};

TEST(Rerank, TheBestComeFirst) {
    const auto request = parse(R"({"query": "q", "documents": ["a", {"text": "b"}, "c"], "top_n": 2})", 8);
    ASSERT_TRUE(request) << request.error().message;
    const auto generations = request->generations();
    ASSERT_EQ(generations.size(), 3U);
    EXPECT_EQ(std::get<RankedPair>(generations[1].prompt), (RankedPair{"q", "b"}));
    EXPECT_EQ(generations[1].task, Task::kRank);
    EXPECT_EQ(encode(*request, "m", kScores, 12),
              R"({"model":"m","object":"list","usage":{"prompt_tokens":12,"total_tokens":12},"results":[)"
              R"({"index":2,"relevance_score":2.0},{"index":0,"relevance_score":0.5}]})");
}

TEST(Rerank, DocumentsComeBackOnDemand) {
    const auto jina = parse(R"({"query": "q", "documents": ["a", "b", "c"], "top_n": 1, "return_documents": true})", 8);
    ASSERT_TRUE(jina);
    EXPECT_NE(encode(*jina, "m", kScores, 1).find(R"({"index":2,"relevance_score":2.0,"document":{"text":"c"}})"),
              std::string::npos);
    const auto tei = parse(R"({"query": "q", "texts": ["a", "b", "c"], "return_text": true})", 8);
    ASSERT_TRUE(tei);
    EXPECT_EQ(encode(*tei, "m", kScores, 1),
              R"([{"index":2,"score":2.0,"text":"c"},{"index":0,"score":0.5,"text":"a"},)"
              R"({"index":1,"score":-3.25,"text":"b"}])");
}

TEST(Rerank, WhatIsWrongIsNamed) {
    const std::pair<const char*, const char*> wrong[] = {
        {R"({"documents": ["a"]})", "query"},
        {R"({"query": "q"})", "documents"},
        {R"({"query": "q", "documents": []})", "documents"},
        {R"({"query": "q", "documents": "a"})", "documents"},
        {R"({"query": "q", "documents": ["a", 3]})", "documents[1]"},
        {R"({"query": "q", "documents": [{"title": "a"}]})", "documents[0].text"},
        {R"({"query": "q", "documents": ["a", "b", "c"]})", "documents"},
        {R"({"query": "q", "texts": ["a", 3]})", "texts[1]"},
        {R"({"query": "q", "documents": ["a"], "top_n": 0})", "top_n"},
        {R"({"query": "q", "documents": ["a"], "whatever": 0})", "whatever"},
    };
    for (const auto& [body, field] : wrong) {
        const auto request = parse(body, 2);
        ASSERT_FALSE(request) << body;
        EXPECT_EQ(request.error().field, field) << body;
    }
}

}  // namespace
}  // namespace sutazai::api::rerank
