#include "api/openai_completions.h"

#include <gtest/gtest.h>

#include <array>

namespace sutazai::api::openai {
namespace {

const Identity kIdentity{.id = "cmpl-1", .model = "m", .created_unix_s = 1737901852};
const Finished kFinished{.reason = FinishReason::kLength,
                         .usage = {.prompt_tokens = 10, .completion_tokens = 2, .cached_tokens = 4}};

Result<CompletionRequest> with(std::string_view fields) {
    return parse_completion("{" + std::string(fields) + "}", 100);
}

std::string refusal(std::string_view fields) {
    const auto result = with(fields);
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

using Ids = std::vector<std::int32_t>;

TEST(Completions, ReadsEveryKindOfPrompt) {
    EXPECT_EQ(with(R"("prompt": "a")")->prompts, (std::vector<PromptItem>{"a"}));
    EXPECT_EQ(with(R"("prompt": ["a", "b"])")->prompts, (std::vector<PromptItem>{"a", "b"}));
    EXPECT_EQ(with(R"("prompt": [1, 2])")->prompts, (std::vector<PromptItem>{Ids{1, 2}}));
    EXPECT_EQ(with(R"("prompt": [[1, 2], [3]])")->prompts, (std::vector<PromptItem>{Ids{1, 2}, Ids{3}}));
}

TEST(Completions, RefusesWrongPromptsByPlace) {
    EXPECT_EQ(refusal(R"("model": "m")"), "prompt: prompt is missing");
    EXPECT_EQ(refusal(R"("prompt": "")"), "prompt: prompt must not be empty");
    EXPECT_EQ(refusal(R"("prompt": [])"), "prompt: prompt must not be empty");
    EXPECT_EQ(
        refusal(R"("prompt": {})"),
        "prompt: prompt must be a string, a list of strings, of token ids or of lists of token ids (got an object)");
    EXPECT_EQ(refusal(R"("prompt": ["a", ""])"), "prompt[1]: prompt[1] must not be empty");
    EXPECT_EQ(refusal(R"("prompt": [[1], []])"), "prompt[1]: prompt[1] must not be empty");
    EXPECT_EQ(refusal(R"("prompt": ["a", 1])"),
              "prompt[1]: prompt[1] must be a string or an array of token ids (got a number)");
    EXPECT_EQ(refusal(R"("prompt": [1, "a"])"), "prompt[1]: prompt[1] must be a token id, a whole number from 0 on");
    EXPECT_EQ(refusal(R"("prompt": [1, -1])"), "prompt[1]: prompt[1] must be a token id, a whole number from 0 on");
    EXPECT_EQ(refusal(R"("prompt": [[1, 2147483648]])"),
              "prompt[0][1]: prompt[0][1] must be a token id, a whole number from 0 on");
    EXPECT_EQ(refusal(R"("prompt": [1.5])"), "prompt[0]: prompt[0] must be a token id, a whole number from 0 on");
    std::string many = R"("prompt": [)";
    for (int i = 0; i < 101; ++i) many += i == 0 ? R"("x")" : R"(,"x")";
    EXPECT_EQ(refusal(many + "]"), "prompt: prompt must hold at most 100 entries (got 101)");
}

TEST(Completions, DefaultsAreOpenAis) {
    const auto request = with(R"("prompt": "a")");
    EXPECT_EQ(request->generation.max_tokens, 16);
    EXPECT_EQ(request->n, 1);
    EXPECT_EQ(request->best_of, 1);
    EXPECT_FALSE(request->logprobs);
    EXPECT_FALSE(request->stream);
    EXPECT_EQ(request->generation.top_logprobs, -1);
    EXPECT_EQ(with(R"("prompt": "a", "max_tokens": null)")->generation.max_tokens, 16);
}

TEST(Completions, OnlyAnEchoMayBeAllThereIs) {
    EXPECT_EQ(refusal(R"("prompt": "a", "max_tokens": 0)"),
              "max_tokens: max_tokens must be between 1 and 2147483647 (got 0)");
    const auto request = with(R"("prompt": "a", "max_tokens": 0, "echo": true, "logprobs": 1)");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->generation.max_tokens, 0);
    EXPECT_TRUE(request->generation.echo);
    EXPECT_EQ(request->generation.top_logprobs, 1);
}

TEST(Completions, RefusesByNameWhatItCannotDo) {
    EXPECT_EQ(refusal(R"("prompt": "a", "suffix": "")"), "accepted");
    EXPECT_TRUE(refusal(R"("prompt": [1, 2], "suffix": "b")").starts_with("suffix: "));
    EXPECT_TRUE(refusal(R"("prompt": "a", "suffix": "b", "echo": true)").starts_with("suffix: "));
    EXPECT_EQ(refusal(R"("prompt": "a", "logit_bias": {"x": 2})").substr(0, 12), "logit_bias.x");
    EXPECT_EQ(refusal(R"("prompt": "a", "logprobs": 6)"), "logprobs: logprobs must be between 0 and 5 (got 6)");
    EXPECT_EQ(refusal(R"("prompt": "a", "n": 3, "best_of": 2)"),
              "best_of: best_of must be at least n, which is 3 (got 2)");
    EXPECT_EQ(refusal(R"("prompt": "a", "best_of": 2, "stream": true)"),
              "best_of: best_of above n does not go with a stream");
    EXPECT_EQ(refusal(R"("prompt": ["a", "b"], "n": 51)"),
              "prompt: prompt times n or best_of makes 102 generations; at most 100 are allowed");
}

TEST(Completions, APromptIsOneRequestForAllOfItsAnswers) {
    auto request = with(R"("prompt": ["a", [7]], "n": 1, "best_of": 2, "seed": 5, "temperature": 0.5)");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->generation.top_logprobs, 0) << "the choice among them needs scores";
    const auto all = request->take_generations();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(std::get<std::string>(all[0].prompt), "a");
    EXPECT_EQ(std::get<Ids>(all[1].prompt), Ids{7});
    for (const GenerationRequest& one : all) {
        EXPECT_EQ(one.n, 2);
        EXPECT_EQ(one.sampling.seed, 5U);
        EXPECT_EQ(one.sampling.temperature, 0.5F);
    }
    EXPECT_EQ(request->n_prompts, 2U);
}

TEST(Completions, WritesTheGoldenAnswer) {
    const auto request = with(R"("prompt": ["a", "b"])");
    const std::array choices{Choice{{"x\n"}, {}, kFinished}, Choice{{"y"}, {}, kFinished}};
    EXPECT_EQ(encode_completion(kIdentity, *request, choices),
              R"({"id":"cmpl-1","object":"text_completion","created":1737901852,"model":"m","choices":[{"text":"x\n",)"
              R"("index":0,"logprobs":null,"finish_reason":"length"},{"text":"y","index":1,"logprobs":null,)"
              R"("finish_reason":"length"}],"usage":{"prompt_tokens":20,"completion_tokens":4,"total_tokens":24,)"
              R"("prompt_tokens_details":{"cached_tokens":8}}})");
}

TEST(Completions, TheBestAreThoseOfTheHighestMean) {
    const auto request = with(R"("prompt": ["a", "b"], "best_of": 2)");
    const auto choice = [](const char* text, float logprob) {
        return Choice{{text}, {{{text, logprob}, {}, true}}, kFinished};
    };
    const std::array choices{choice("a0", -2), choice("a1", -1), choice("b0", -1), choice("b1", -2)};
    const std::string answer = encode_completion(kIdentity, *request, choices);
    EXPECT_NE(answer.find(R"({"text":"a1","index":0,)"), std::string::npos) << answer;
    EXPECT_NE(answer.find(R"({"text":"b0","index":1,)"), std::string::npos) << answer;
    EXPECT_EQ(answer.find("a0"), std::string::npos);
    EXPECT_NE(answer.find(R"("prompt_tokens":20,"completion_tokens":8)"), std::string::npos) << "all count";
}

TEST(Completions, WritesTheGoldenStream) {
    CompletionChunkEncoder encoder(kIdentity, true, true, 2);
    std::string out;
    encoder.content(out, 1, "é", std::array{TokenScore{{"é", -1}, {}, true}});
    out.clear();
    encoder.content(out, 1, "x", std::array{TokenScore{{"x", -1}, {}, true}});
    encoder.finish(out, 1, FinishReason::kStop);
    encoder.end(out, kFinished.usage);
    const std::string head =
        R"(data: {"id":"cmpl-1","object":"text_completion","created":1737901852,"model":"m","choices":[)";
    EXPECT_EQ(out, head +
                       R"({"text":"x","index":1,"logprobs":{"tokens":["x"],"token_logprobs":[-1.0],)"
                       R"("top_logprobs":[{"x":-1.0}],"text_offset":[1]},"finish_reason":null}],"usage":null})"
                       "\n\n" +
                       head + R"({"text":"","index":1,"logprobs":null,"finish_reason":"stop"}],"usage":null})" +
                       "\n\n" + head +
                       R"(],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,)"
                       R"("prompt_tokens_details":{"cached_tokens":4}}})"
                       "\n\ndata: [DONE]\n\n");
}

}  // namespace
}  // namespace sutazai::api::openai
