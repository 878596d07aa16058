#include "serve/embeddings.h"

#include <gtest/gtest.h>

#include <utility>

#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;

const Caller kNobody;

class EmbeddingsTest : public testing_support::ServeTest {
  protected:
    Result<Embeddings> embed_all(std::initializer_list<const char*> commands) {
        EmbedRequest request;
        for (const char* command : commands) {
            request.inputs.push_back(testing_support::prompt(command));
            request.inputs.back().task = Task::kEmbed;
        }
        Result<Embeddings> embeddings;
        run([&](Context& context) { return embed_one(context, std::move(request), embeddings); });
        return embeddings;
    }

  private:
    static asio::awaitable<void> embed_one(Context& context, EmbedRequest request, Result<Embeddings>& embeddings) {
        embeddings = co_await embed(context, kNobody, std::move(request));
    }
};

TEST_F(EmbeddingsTest, EachInputGetsItsVector) {
    const auto embeddings = embed_all({"count 1", "pace 1", "count 1"});
    ASSERT_TRUE(embeddings) << embeddings.error().message;
    EXPECT_EQ(embeddings->model, "m");
    EXPECT_EQ(embeddings->vectors, std::vector<std::vector<float>>(3, {0.6F, 0.8F}));
    EXPECT_EQ(embeddings->prompt_tokens, 9U);
}

TEST_F(EmbeddingsTest, TheFirstErrorIsAllAndNamesItsInput) {
    const auto several = embed_all({"count 1", "rot 0"});
    ASSERT_FALSE(several);
    EXPECT_EQ(several.error().field, "input[1]");
    EXPECT_EQ(embed_all({"rot 0"}).error().field, "input");
}

}  // namespace
}  // namespace sutazai::serve
