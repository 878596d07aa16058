// Task::kRank: a model with a head that says how well a text answers a question, packed and alone.
#include <gtest/gtest.h>
#include <llama.h>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

GenerationRequest pair(std::string query, std::string document) {
    GenerationRequest request;
    request.task = Task::kRank;
    request.prompt = RankedPair{std::move(query), std::move(document)};
    return request;
}

/// What llama.cpp itself says of the tokens.
float score_of(const llama::Model& model, const std::vector<Token>& tokens) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 512;
    params.embeddings = true;
    params.pooling_type = LLAMA_POOLING_TYPE_RANK;
    llama_context* context = llama_init_from_model(model.handle(), params);
    std::vector<Token> copy = tokens;
    EXPECT_EQ(llama_encode(context, llama_batch_get_one(copy.data(), static_cast<std::int32_t>(copy.size()))), 0);
    const float score = llama_get_embeddings_seq(context, 0)[0];
    llama_free(context);
    return score;
}

TEST(Ranks, AreLlamaCppsHoweverManyAreAskedForAtOnce) {
    const auto model = load_test_model("toy-reranker", 512);
    Harness harness({}, 512, "toy-reranker");
    std::vector<RequestId> ids;
    std::vector<float> expected;
    for (int i = 0; i < 40; ++i) {
        std::string document;
        for (int k = 0; k <= (i * 7) % 30; ++k) document += "word" + std::to_string(i * k) + " ";
        const auto request = pair("what is it?", document);
        expected.push_back(score_of(*model, model->tokenize(request).value()));
        ids.push_back(harness.submit(request));
    }
    float least = expected.front();
    float most = expected.front();
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const auto end = harness.wait(ids[i]);
        ASSERT_FALSE(end.error) << end.error->message;
        ASSERT_EQ(end.embedding.size(), 1U);
        EXPECT_NEAR(end.embedding.front(), expected[i], 0.02F) << i;
        least = std::min(least, expected[i]);
        most = std::max(most, expected[i]);
    }
    EXPECT_GT(most - least, 0.1F) << "all are the same: the test shows nothing";
}

TEST(Ranks, QueryAndDocumentAreBetweenTheTokensOfTheVocabulary) {
    const auto model = load_test_model("toy-reranker", 512);
    std::string text;
    const auto tokens = model->tokenize(pair("one", "two"));
    ASSERT_TRUE(tokens);
    for (const Token token : *tokens) text += model->piece(token) + "|";
    EXPECT_EQ(text, "[CLS]| one|[SEP]| two|") << text;
}

TEST(Ranks, OnlyModelsThatRankDo) {
    Harness writes;
    EXPECT_EQ(writes.ask(pair("a", "b")).error->field, "model");
    Harness embeds({}, 512, "toy-bert");
    EXPECT_EQ(embeds.ask(pair("a", "b")).error->field, "model");
    Harness ranks({}, 512, "toy-reranker");
    GenerationRequest text = greedy("a", 3);
    EXPECT_EQ(ranks.ask(text).error->field, "model");
    text.task = Task::kEmbed;
    EXPECT_EQ(ranks.ask(text).error->field, "model");
}

TEST(Ranks, ATextThatIsTooLongIsRefused) {
    Harness harness({}, 512, "toy-reranker");
    std::string document;
    for (int i = 0; i < 600; ++i) document += "word ";
    const auto end = harness.ask(pair("a", document));
    ASSERT_TRUE(end.error);
    EXPECT_EQ(end.error->code, ErrorCode::kContextOverflow);
    EXPECT_EQ(end.error->field, "prompt");
}

}  // namespace
}  // namespace sutazai::engine
