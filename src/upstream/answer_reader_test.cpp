#include "upstream/answer_reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "upstream/model_list.h"
#include "upstream/remote_error.h"

namespace sutazai::upstream {
namespace {

const std::string kChat =
    ": a comment\n\nevent: x\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
    "\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9f\"},\"logprobs\":{\"content\":[{"
    "\"token\":\"Gr\",\"logprob\":-0.5,\"bytes\":[71,114],\"top_logprobs\":[{\"token\":\"A\",\"logprob\":-1}]}]}}]}\n\n"
    "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"e\"},\"finish_reason\":\"length\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9,"
    "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n"
    "data: [DONE]\n\n";
const std::string kLines =
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a\",\"thinking\":\"t\"},\"done\":false}\n"
    "{\"message\":{\"role\":\"assistant\",\"content\":\"b\"},\"done\":false}\n"
    "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\","
    "\"load_duration\":1000,\"prompt_eval_count\":4,\"prompt_eval_duration\":2000000,\"eval_count\":6,"
    "\"eval_duration\":3000000}\n";

constexpr AnswerBounds kWide{8 << 20, 64 << 20};

struct Read {
    GenerationUpdate all;
    std::optional<Error> error;
};

/// In pieces of so many bytes.
Read read(AnswerForm form, const std::string& text, std::size_t piece, bool ends = true) {
    AnswerReader reader(form, kWide);
    Read out;
    for (std::size_t at = 0; at < text.size() && !out.all.finished; at += piece) {
        if (auto taken = reader.take(std::string_view(text).substr(at, piece), out.all); !taken) {
            out.error = taken.error();
            return out;
        }
    }
    if (!ends || out.all.finished) return out;
    if (auto ended = reader.end(out.all); !ended) out.error = ended.error();
    return out;
}

TEST(AnswerReader, ReadsAChatHoweverItIsCut) {
    for (const std::size_t piece : {1, 2, 3, 7, 64, 4096}) {
        const Read got = read(AnswerForm::kChatChunks, kChat, piece);
        ASSERT_FALSE(got.error) << got.error->message;
        EXPECT_EQ(got.all.delta.content,
                  "Gr\xc3\xbc\xc3\x9f"
                  "e");
        EXPECT_EQ(got.all.delta.reasoning, "hm");
        ASSERT_EQ(got.all.scores.size(), 1U);
        EXPECT_EQ(got.all.scores[0].token, (TokenChance{"Gr", -0.5F}));
        EXPECT_EQ(got.all.scores[0].top, (std::vector<TokenChance>{{"A", -1}}));
        ASSERT_TRUE(got.all.finished);
        EXPECT_EQ(got.all.finished->reason, FinishReason::kLength);
        EXPECT_EQ(got.all.finished->usage, (Usage{5, 9, 2}));
        EXPECT_EQ(got.all.n_tokens, 3U);
    }
}

TEST(AnswerReader, ReadsOllamasLines) {
    for (const std::size_t piece : {1, 5, 4096}) {
        const Read got = read(AnswerForm::kOllamaLines, kLines, piece);
        ASSERT_FALSE(got.error) << got.error->message;
        EXPECT_EQ(got.all.delta.content, "ab");
        EXPECT_EQ(got.all.delta.reasoning, "t");
        ASSERT_TRUE(got.all.finished);
        EXPECT_EQ(got.all.finished->usage, (Usage{4, 6, 0}));
        EXPECT_EQ(got.all.finished->timings.prefill.count(), 2000);
        EXPECT_EQ(got.all.finished->timings.decode.count(), 3000);
    }
}

TEST(AnswerReader, ReadsAGeneratedText) {
    const Read got =
        read(AnswerForm::kOllamaLines,
             "{\"response\":\"x\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"context\":[3,4]}\n", 99);
    ASSERT_TRUE(got.all.finished);
    EXPECT_EQ(got.all.delta.content, "x");
    EXPECT_EQ(got.all.finished->tokens, (std::vector<std::int32_t>{3, 4}));
    EXPECT_EQ(got.all.finished->usage, (Usage{0, 1, 0})) << "what is not said is counted here, or not known";
}

TEST(AnswerReader, ReadsCompletionsWithScores) {
    const Read got = read(AnswerForm::kTextChunks,
                          "data: {\"choices\":[{\"index\":0,\"text\":\"ab\",\"logprobs\":{\"tokens\":[\"a\","
                          "\"bytes:\\\\xe2\\\\x82\"],\"token_logprobs\":[null,-2],\"top_logprobs\":[null,{\"x\":-3,"
                          "\"y\":-1}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
                          4096);
    ASSERT_FALSE(got.error) << got.error->message;
    ASSERT_EQ(got.all.scores.size(), 2U);
    EXPECT_FALSE(got.all.scores[0].scored);
    EXPECT_EQ(got.all.scores[1].token.piece, "\xe2\x82");
    EXPECT_EQ(got.all.scores[1].top.front().piece, "y");
}

TEST(AnswerReader, AStopReasonThatIsNotKnownIsAnEnd) {
    const Read got = read(AnswerForm::kChatChunks,
                          "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"moon\"}]}\n\n", 99);
    ASSERT_TRUE(got.all.finished) << "[DONE] may be missing where the body ends properly";
    EXPECT_EQ(got.all.finished->reason, FinishReason::kStop);
}

TEST(AnswerReader, AStreamWithoutItsEndIsAnError) {
    const std::string begun = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (const std::string& text : {begun, begun + "data: [DONE]\n\n", std::string()}) {
        const Read got = read(AnswerForm::kChatChunks, text, 99);
        ASSERT_TRUE(got.error) << text;
        EXPECT_EQ(got.error->code, ErrorCode::kUpstreamFailed);
    }
    EXPECT_TRUE(read(AnswerForm::kOllamaLines, "{\"response\":\"a\",\"done\":false}\n", 99).error);
}

TEST(AnswerReader, WhatIsNoAnswerIsAnError) {
    for (const std::string text :
         {"data: nonsense\n\n", "data: [1]\n\n", "data: {}\n\n", "data: \"\xff\"\n\n", "data: {\"choices\":[1]}\n\n",
          "data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\"}}]}\n\n"}) {
        const Read got = read(AnswerForm::kChatChunks, text, 4096);
        ASSERT_TRUE(got.error) << text;
        EXPECT_EQ(got.error->code, ErrorCode::kUpstreamFailed);
    }
    for (const std::string text : {"nonsense\n", "[]\n", "{}\n", "{\"x\":1}\n"}) {
        EXPECT_TRUE(read(AnswerForm::kOllamaLines, text, 4096).error) << text;
    }
}

TEST(AnswerReader, LinesAndEventsAreBounded) {
    for (const AnswerForm form : {AnswerForm::kChatChunks, AnswerForm::kOllamaLines}) {
        AnswerReader reader(form, kWide);
        GenerationUpdate out;
        const std::string piece(64 << 10, 'x');
        bool failed = false;
        for (int i = 0; i < 64 && !failed; ++i) failed = !reader.take(piece, out);
        EXPECT_TRUE(failed) << "a line without end";
    }
    AnswerReader reader(AnswerForm::kChatChunks, kWide);
    GenerationUpdate out;
    const std::string line = "data: " + std::string(32 << 10, 'x') + "\n";
    bool failed = false;
    for (int i = 0; i < 64 && !failed; ++i) failed = !reader.take(line, out);
    EXPECT_TRUE(failed) << "an event without end";
}

TEST(AnswerReader, ErrorsInAStreamKeepTheirKindAndWords) {
    const Read full = read(AnswerForm::kChatChunks,
                           "data: {\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\","
                           "\"code\":\"context_length_exceeded\",\"param\":\"messages\"}}\n\n",
                           4096);
    ASSERT_TRUE(full.error);
    EXPECT_EQ(full.error->code, ErrorCode::kContextOverflow);
    EXPECT_EQ(full.error->message, "too long");
    EXPECT_EQ(full.error->field, "messages");
    const Read died = read(AnswerForm::kOllamaLines, "{\"error\":\"model runner\\nstopped\"}\n", 4096);
    ASSERT_TRUE(died.error);
    EXPECT_EQ(died.error->code, ErrorCode::kUpstreamFailed);
    EXPECT_EQ(died.error->message, "it failed: model runner\nstopped") << "as it came";
}

TEST(AnswerReader, ScoresAreBoundedAndDroppedWhereNobodyAskedForThem) {
    AnswerReader unasked(AnswerForm::kChatChunks, {.text_bytes = 1000});
    GenerationUpdate out;
    ASSERT_TRUE(unasked.take(kChat, out));
    EXPECT_TRUE(out.scores.empty());
    EXPECT_FALSE(out.delta.content.empty());

    std::string entries = R"({"token":"","logprob":0})";
    for (int i = 0; i < 12; ++i) entries += "," + entries;
    AnswerReader asked(AnswerForm::kChatChunks, {.text_bytes = 1000, .score_bytes = 1 << 20});
    Result<void> taken;
    int n = 0;
    for (; taken && n < 100; ++n) {
        taken = asked.take(R"(data: {"choices":[{"index":0,"delta":{},"logprobs":{"content":[)" + entries + "]}}]}\n\n",
                           out);
    }
    ASSERT_FALSE(taken);
    EXPECT_NE(taken.error().message.find("log probabilities"), std::string::npos) << taken.error().message;
    EXPECT_LT(n, 5);
}

TEST(AnswerReader, HowLongAnAnswerMayBe) {
    GenerationRequest request;
    request.prompt = std::string(1000, 'x');
    EXPECT_EQ(bounds_of(request), (AnswerBounds{8 << 20, 0}));
    request.max_tokens = 1;
    EXPECT_EQ(bounds_of(request).text_bytes, 64U << 10);
    request.max_tokens = 4096;
    EXPECT_EQ(bounds_of(request).text_bytes, 1U << 20);
    request.echo = true;
    EXPECT_EQ(bounds_of(request).text_bytes, (1U << 20) + 1000);
    request.max_tokens = std::numeric_limits<int>::max();
    request.top_logprobs = 0;
    EXPECT_EQ(bounds_of(request), (AnswerBounds{(8 << 20) + 1000, 64 << 20}));
}

TEST(AnswerReader, StandsDamage) {
    std::mt19937 random(20261126);
    int n_read = 0;
    for (int i = 0; i < 20'000; ++i) {
        const bool lines = random() % 2 == 0;
        std::string text = lines ? kLines : kChat;
        for (unsigned n = 1 + random() % 3; n > 0; --n) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0: text.erase(at, random() % 16); break;
                case 1: text.insert(at, text.substr(random() % text.size(), random() % 16)); break;
                default: text[at] = static_cast<char>(random());
            }
            if (text.empty()) text = "x";
        }
        const Read got = read(lines ? AnswerForm::kOllamaLines : AnswerForm::kChatChunks, text, 1 + random() % 100);
        EXPECT_TRUE(got.error || got.all.finished);
        EXPECT_FALSE(got.error && got.error->message.empty());
        n_read += got.error ? 0 : 1;
    }
    EXPECT_GT(n_read, 100);
    EXPECT_LT(n_read, 19'000);
}

TEST(Vectors, AreOfLengthOne) {
    const auto theirs = read_vectors(AnswerForm::kOpenAiVectors,
                                     R"({"data":[{"index":0,"embedding":[3,4]}],"usage":{"prompt_tokens":2}})");
    ASSERT_TRUE(theirs);
    EXPECT_EQ(theirs->embedding, (std::vector<float>{0.6F, 0.8F}));
    EXPECT_EQ(theirs->finished->usage.prompt_tokens, 2U);
    const auto ollamas = read_vectors(AnswerForm::kOllamaVectors, R"({"embeddings":[[0,2.5]],"prompt_eval_count":3})");
    ASSERT_TRUE(ollamas);
    EXPECT_EQ(ollamas->embedding, (std::vector<float>{0, 1}));
    for (const std::string body :
         {R"({"data":[]})", R"({"data":[{"embedding":[0,0]}]})", R"({"data":[{"embedding":[]}]})",
          R"({"data":[{"embedding":["a"]}]})", R"({"data":[{"embedding":[1e300]}]})", "x", "{}"}) {
        EXPECT_FALSE(read_vectors(AnswerForm::kOpenAiVectors, body)) << body;
    }
}

TEST(RemoteError, KeepsWhatIsTheRequestsFault) {
    const auto bad = error_of_answer(400, R"({"error":{"message":"top_k must be 1","param":"top_k"}})", 0, "u");
    EXPECT_EQ(bad.code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(bad.message, "top_k must be 1");
    EXPECT_EQ(bad.field, "top_k");
    EXPECT_EQ(error_of_answer(404, R"({"error":"model \"x\" not found"})", 0, "u").code, ErrorCode::kNotFound);
    EXPECT_EQ(error_of_answer(429, "", 3, "u").code, ErrorCode::kQueueFull);
    EXPECT_EQ(error_of_answer(429, "", 3, "u").retry_after_s, 3);
    EXPECT_EQ(error_of_answer(413, "", 0, "u").code, ErrorCode::kPayloadTooLarge);
    EXPECT_EQ(error_of_answer(422, R"({"detail":"no"})", 0, "u").message, "no");
}

TEST(RemoteError, AllElseIsTheUpstreamsFault) {
    for (const unsigned status : {100U, 204U, 301U, 401U, 403U, 418U, 500U, 503U}) {
        EXPECT_EQ(error_of_answer(status, "<html>", 0, "u").code, ErrorCode::kUpstreamFailed) << status;
    }
    const auto key = error_of_answer(401, R"({"error":{"message":"Incorrect API key provided: sk-12"}})", 0, "u");
    EXPECT_EQ(key.message.find("sk-12"), std::string::npos);
    EXPECT_NE(error_of_answer(302, "", 0, "u").message.find("not followed"), std::string::npos);
    EXPECT_NE(error_of_answer(500, R"({"error":"boom"})", 0, "u").message.find("boom"), std::string::npos);
}

TEST(RemoteError, WordsAreMadePlain) {
    const auto shown = [](std::string words) {
        return fit_to_show({ErrorCode::kUpstreamFailed, std::move(words)}, "").message;
    };
    EXPECT_EQ(shown("a\x01\n\xff"), "a  \xef\xbf\xbd");
    EXPECT_LT(shown(std::string(5000, 'a')).size(), 700U);
}

TEST(RemoteError, TheKeyIsShownNowhere) {
    const std::string key = "sk-0123456789abcdef";
    const auto in_field = fit_to_show({ErrorCode::kInvalidArgument, "bad", "x." + key}, key);
    EXPECT_EQ(in_field.message, "bad");
    EXPECT_EQ(in_field.field, "");
    // However much of it is on this side of the cut.
    for (std::size_t n = 570; n < 620; ++n) {
        const auto error = fit_to_show({ErrorCode::kInvalidArgument, std::string(n, 'a') + key}, key);
        EXPECT_EQ(error.message, "its words hold a secret") << n;
    }
    EXPECT_EQ(fit_to_show({ErrorCode::kInvalidArgument, "bad", "top_k"}, key).field, "top_k");
}

TEST(RemoteError, WhoRefusesWithoutAWordIsNamed) {
    for (const unsigned status : {400U, 404U, 408U, 413U, 422U, 429U}) {
        const auto error = error_of_answer(status, "<html>", 0, "the upstream 'gpu'");
        EXPECT_EQ(error.message,
                  "the upstream 'gpu' answers with status " + std::to_string(status) + ", and gives no reason");
    }
}

TEST(ModelList, ReadsEachKind) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(*read_model_list(UpstreamKind::kOllama,
                               R"({"models":[{"name":"b:1"},{"name":"a"},{"name":"../x"},{"name":"a"},3]})"),
              (Names{"a", "b:1"}));
    EXPECT_EQ(*read_model_list(UpstreamKind::kOpenAi, R"({"object":"list","data":[{"id":"org/m"}]})"),
              (Names{"org/m"}));
    EXPECT_FALSE(read_model_list(UpstreamKind::kOpenAi, "[]"));
    EXPECT_FALSE(read_model_list(UpstreamKind::kSutazai, "x"));
}

}  // namespace
}  // namespace sutazai::upstream
