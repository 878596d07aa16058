#include "serve/batch.h"

#include <gtest/gtest.h>

#include <utility>

#include "serve/testing/serve_test.h"

namespace sutazai::serve {
namespace {

namespace asio = boost::asio;

const Caller kNobody;

class BatchTest : public testing_support::ServeTest {
  protected:
    Result<BatchAnswer> run_body(std::string_view body) {
        Result<BatchAnswer> answer;
        auto job = parse_batch(body, 100);
        EXPECT_TRUE(job);
        run([&](Context& context) { return run_job(context, std::move(*job), answer, mean_s_); });
        return answer;
    }

    double mean_s_ = 0;

  private:
    static asio::awaitable<void> run_job(Context& context, BatchJob job, Result<BatchAnswer>& answer, double& mean_s) {
        answer = co_await run_batch(context, kNobody, std::move(job));
        const auto found = context.requests.metrics().find("m");
        mean_s = found == context.requests.metrics().end() ? 0 : found->second.e2e.mean_s();
    }
};

TEST_F(BatchTest, AnItemThatFailsFailsAlone) {
    const auto answer = run_body(R"({"requests": [
        {"prompt": "count 2"},
        {"prompt": "rot 1"},
        {"prompt": "count 1", "priority": -1},
        {"messages": [{"role": "user", "content": "fail 1"}]},
        {"prompt": "count 3"}]})");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->model, "m");
    EXPECT_TRUE(answer->id.starts_with("batch_"));
    ASSERT_EQ(answer->results.size(), 5U);
    EXPECT_EQ(answer->results[0]->answer.content, " t0 t1");
    EXPECT_EQ(answer->results[0]->finished.usage.completion_tokens, 2U);
    EXPECT_EQ(answer->results[1].error().field, "requests[1].prompt");
    EXPECT_EQ(answer->results[2].error().field, "requests[2].priority") << "this caller may not go before others";
    EXPECT_EQ(answer->results[3].error().field, "requests[3].messages");
    EXPECT_EQ(answer->results[4]->answer.content, " t0 t1 t2");
}

TEST_F(BatchTest, APromptThatBecameAChatIsStillAPrompt) {
    const auto answer = run_body(R"({"requests": [{"prompt": "fail 0"}]})");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->results[0].error().field, "requests[0].prompt") << "the engine says messages";
}

TEST_F(BatchTest, WithoutAnItemThatCanRunThereIsStillAnAnswer) {
    const auto answer = run_body(R"({"requests": [{"prompt": "count 1", "priority": -1}], "batch_size": 3})");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->batch_size, 3);
    EXPECT_FALSE(answer->results.at(0));
    EXPECT_EQ(mean_s_, 0);
}

TEST_F(BatchTest, AModelThatIsNotThereFailsTheWhole) {
    const auto answer = run_body(R"({"model": "nobody", "requests": [{"prompt": "count 1"}]})");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace sutazai::serve
