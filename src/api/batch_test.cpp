#include "api/batch.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <random>

namespace sutazai::api::batch {
namespace {

Result<BatchRequest> with(std::string_view requests, std::string_view more = "") {
    return parse(R"({"requests": )" + std::string(requests) + std::string(more) + "}", 4);
}

std::string refusal(const Result<BatchRequest>& result) {
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

std::string item_error(const Result<BatchRequest>& result, std::size_t index) {
    if (!result) return "the whole is refused: " + result.error().message;
    const auto& item = result->items.at(index);
    return item ? "accepted" : item.error().field + ": " + item.error().message;
}

TEST(Batch, ReadsTheSpecificationsExample) {
    const auto batch = parse(R"({"requests": [{"prompt": "Write a short sentence about AI."},
        {"prompt": "Explain machine learning."}], "model": "qwen2.5:3b", "batch_size": 8})",
                             1024);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->model, "qwen2.5:3b");
    EXPECT_EQ(batch->batch_size, 8);
    ASSERT_EQ(batch->items.size(), 2U);
    EXPECT_EQ(std::get<std::string>(batch->items[1]->prompt), "Explain machine learning.");
    EXPECT_EQ(batch->items[0]->sampling, SamplingParams{});
}

TEST(Batch, EntriesGoBeforeTheDefaultsBesideThem) {
    const auto batch = with(
        R"([{"prompt": "a", "temperature": 0, "stop": "x", "seed": 1}, {"messages": [{"role": "user", "content": "b"}]}])",
        R"(, "temperature": 1.5, "max_tokens": 7, "stop": ["y", "z"], "priority": 3)");
    ASSERT_TRUE(batch) << refusal(batch);
    const GenerationRequest& a = *batch->items[0];
    const GenerationRequest& b = *batch->items[1];
    EXPECT_EQ(a.sampling.temperature, 0.0F);
    EXPECT_EQ(a.sampling.seed, 1U);
    EXPECT_EQ(a.stop, std::vector<std::string>{"x"});
    EXPECT_EQ(a.max_tokens, 7);
    EXPECT_EQ(b.sampling.temperature, 1.5F);
    EXPECT_EQ(b.stop, (std::vector<std::string>{"y", "z"}));
    EXPECT_EQ(b.priority, 3);
    EXPECT_EQ(std::get<Chat>(b.prompt), (Chat{{text_message(Role::kUser, "b")}}));
}

TEST(Batch, WhatIsWrongWithAnEntryFailsItAlone) {
    const auto batch = with(R"([{"prompt": "a", "temperature": 3}, 7, {}, {"prompt": "fine"}])");
    EXPECT_EQ(item_error(batch, 0), "requests[0].temperature: requests[0].temperature must be between 0 and 2 (got 3)");
    EXPECT_EQ(item_error(batch, 1), "requests[1]: requests[1] must be an object (got a number)");
    EXPECT_EQ(item_error(batch, 2), "requests[2].prompt: requests[2].prompt or messages is missing");
    EXPECT_EQ(item_error(batch, 3), "accepted");
    const auto more = with(
        R"([{"prompt": "a", "messages": []}, {"prompt": ""}, {"prompt": "a", "model": "x"}, {"prompt": "a", "stream": true}])");
    EXPECT_EQ(item_error(more, 0), "requests[0].prompt: requests[0].prompt and messages exclude each other");
    EXPECT_EQ(item_error(more, 1), "requests[1].prompt: requests[1].prompt must not be empty");
    EXPECT_EQ(item_error(more, 2), "requests[2].model: requests[2].model must be the batch's, or be left out");
    EXPECT_EQ(item_error(more, 3), "requests[3].stream: requests[3].stream does not go with a batch");
    EXPECT_EQ(item_error(with(R"([{"prompt": "a", "keep_alive": 0}])"), 0),
              "requests[0].keep_alive: requests[0].keep_alive must be the batch's, or be left out");
    EXPECT_EQ(item_error(with(R"([{"messages": [{"role": "user"}]}])"), 0),
              "requests[0].messages[0].content: requests[0].messages[0].content is missing");
}

TEST(Batch, WhatIsWrongWithTheWholeFailsIt) {
    EXPECT_EQ(refusal(parse("{}", 4)), "requests: requests is missing");
    EXPECT_EQ(refusal(with("{}")), "requests: requests must be an array (got an object)");
    EXPECT_EQ(refusal(with("[]")), "requests: requests must hold 1 to 4 requests (got 0; MAX_BATCH_REQUESTS)");
    EXPECT_EQ(refusal(with("[1,2,3,4,5]")), "requests: requests must hold 1 to 4 requests (got 5; MAX_BATCH_REQUESTS)");
    EXPECT_EQ(refusal(with("[1]", R"(, "batch_size": 0)")), "batch_size: batch_size must be between 1 and 256 (got 0)");
    EXPECT_EQ(refusal(with("[1]", R"(, "batch_size": 257)")),
              "batch_size: batch_size must be between 1 and 256 (got 257)");
    EXPECT_EQ(refusal(with("[1]", R"(, "top_p": 2)")), "top_p: top_p must be above 0 and at most 1 (got 2)");
    EXPECT_EQ(refusal(with("[1]", R"(, "stream": true)")), "stream: stream does not go with a batch");
    EXPECT_FALSE(with("[1]")->batch_size);
}

TEST(Batch, APromptBecomesAChat) {
    GenerationRequest request;
    request.prompt = "a";
    as_chat(request);
    EXPECT_EQ(std::get<Chat>(request.prompt), (Chat{{text_message(Role::kUser, "a")}}));
    as_chat(request);
    EXPECT_EQ(std::get<Chat>(request.prompt).messages.size(), 1U) << "a chat stays as it is";
}

Result<GenerationRequest> item(std::string prompt, int priority = 0) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.priority = priority;
    return request;
}

TEST(Batch, SharedBeginningsComeOneAfterTheOther) {
    const std::vector<Result<GenerationRequest>> items{
        item("story b"), item("poem"),       fail(ErrorCode::kInternal, "no"),
        item("story a"), item("urgent", -1), item("poem")};
    EXPECT_EQ(sharing_order(items), (std::vector<std::size_t>{4, 1, 5, 3, 0}));
}

TEST(Batch, AUserMessageSortsBesideTheSamePrompt) {
    GenerationRequest chat;
    chat.prompt = Chat{{text_message(Role::kUser, "m")}};
    const std::vector<Result<GenerationRequest>> items{item("z"), chat, item("m"), item("a")};
    EXPECT_EQ(sharing_order(items), (std::vector<std::size_t>{3, 1, 2, 0}));
}

/// Whatever the prompts: those that begin with some text are neighbours.
TEST(Batch, EveryPrefixIsOneRunOfTheOrder) {
    std::mt19937 random(4);
    for (int round = 0; round < 50; ++round) {
        std::vector<Result<GenerationRequest>> items;
        for (int i = 0; i < 30; ++i) {
            std::string prompt;
            for (unsigned n = 1 + random() % 6; n > 0; --n) prompt += static_cast<char>('a' + random() % 3);
            items.push_back(item(prompt));
        }
        const auto order = sharing_order(items);
        ASSERT_EQ(order.size(), items.size());
        for (const auto& some : items) {
            const auto& text = std::get<std::string>(some->prompt);
            for (std::size_t n = 1; n <= text.size(); ++n) {
                int runs = 0;
                bool inside = false;
                for (const std::size_t index : order) {
                    const bool has = std::get<std::string>(items[index]->prompt).starts_with(text.substr(0, n));
                    runs += has && !inside ? 1 : 0;
                    inside = has;
                }
                ASSERT_EQ(runs, 1) << text.substr(0, n) << ", round " << round;
            }
        }
    }
}

TEST(Batch, IdsAreUnique) {
    using namespace std::chrono;
    const system_clock::time_point now = sys_days(2025y / January / 26) + 14h + 30min + 52s + 400ms;
    BatchIds ids;
    EXPECT_EQ(ids.next(now), "batch_20250126_143052");
    EXPECT_EQ(ids.next(now), "batch_20250126_143052_2");
    EXPECT_EQ(ids.next(now + 500ms), "batch_20250126_143052_3");
    EXPECT_EQ(ids.next(now + 1s), "batch_20250126_143053");
    EXPECT_EQ(ids.next(now), "batch_20250126_143053_2") << "the clock went back";
}

TEST(Batch, WritesTheGoldenAnswer) {
    const Finished finished{FinishReason::kLength, {10, 2, 4}, {}};
    const std::vector<Result<Choice>> results{Choice{{"Hi \"you\""}, {}, finished},
                                              fail(ErrorCode::kQueueFull, "Full.", "requests[1].prompt")};
    EXPECT_EQ(encode("batch_20250126_143052", "m", 8, results),
              R"({"batch_id":"batch_20250126_143052","model":"m","total_requests":2,"batch_size":8,)"
              R"("success_rate":0.5,"results":[{"request_index":0,"success":true,"response":"Hi \"you\"",)"
              R"("finish_reason":"length","usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
              R"("prompt_tokens_details":{"cached_tokens":4}}},{"request_index":1,"success":false,)"
              R"("error":{"message":"Full.","code":"queue_full","field":"requests[1].prompt"}}],)"
              R"("usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
              R"("prompt_tokens_details":{"cached_tokens":4}}})");
    EXPECT_NE(encode("b", "m", 1, std::vector<Result<Choice>>{Choice{}}).find(R"("success_rate":1.0)"),
              std::string::npos);
}

}  // namespace
}  // namespace sutazai::api::batch
