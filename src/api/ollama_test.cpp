#include "api/ollama.h"

#include <gtest/gtest.h>

#include <string>

namespace sutazai::api::ollama {
namespace {

constexpr const char* kAsk = R"("messages":[{"role":"user","content":"hi"}])";

Result<AnswerBody> chat(const std::string& more) {
    return parse_chat("{\"model\":\"m\"," + std::string(kAsk) + (more.empty() ? "" : ",") + more + "}");
}

Result<AnswerBody> generate(const std::string& more) {
    return parse_generate(R"({"model":"m","prompt":"hi")" + std::string(more.empty() ? "" : ",") + more + "}");
}

std::string refusal(const Result<AnswerBody>& result) {
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

TEST(Ollama, AChatHasOllamasDefaults) {
    const auto request = chat("");
    ASSERT_TRUE(request) << refusal(request);
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->stream);
    EXPECT_EQ(request->order, Order::kAnswer);
    EXPECT_EQ(request->context_tokens, 0);
    EXPECT_FALSE(request->plain_without_template);
    GenerationRequest expected;
    expected.prompt = Chat{{text_message(Role::kUser, "hi")}};
    expected.sampling = {.temperature = 0.8F, .top_k = 40, .top_p = 0.9F, .min_p = 0, .repeat_penalty = 1};
    EXPECT_EQ(request->generation, expected);
}

TEST(Ollama, ReadsEveryOption) {
    const auto request = chat(R"("stream":false,"keep_alive":"10m","logprobs":true,"top_logprobs":3,"options":{
        "temperature":0.5,"top_k":7,"top_p":0.25,"min_p":0.125,"repeat_penalty":1.5,"presence_penalty":-1,
        "frequency_penalty":1,"seed":42,"num_predict":9,"stop":["a","b"],"num_ctx":4096,"repeat_last_n":64,
        "typical_p":1,"tfs_z":1.0,"mirostat":0,"num_gpu":1,"num_thread":8,"num_keep":4,"use_mmap":true})");
    ASSERT_TRUE(request) << refusal(request);
    EXPECT_FALSE(request->stream);
    EXPECT_EQ(request->keep_alive, std::chrono::minutes(10));
    EXPECT_EQ(request->context_tokens, 4096);
    GenerationRequest expected;
    expected.prompt = Chat{{text_message(Role::kUser, "hi")}};
    expected.sampling = {.temperature = 0.5F,
                         .top_k = 7,
                         .top_p = 0.25F,
                         .min_p = 0.125F,
                         .repeat_penalty = 1.5F,
                         .presence_penalty = -1,
                         .frequency_penalty = 1,
                         .seed = 42};
    expected.max_tokens = 9;
    expected.stop = {"a", "b"};
    expected.top_logprobs = 3;
    expected.given = {true, true, true, true, true, true, true, true, true, true};
    EXPECT_EQ(request->generation, expected);
}

TEST(Ollama, WhatIsGivenGoesBeforeTheModelsOwnDefaults) {
    EXPECT_EQ(chat("")->generation.given, GivenFields{});
    EXPECT_EQ(chat(R"("options":{"top_k":7,"num_predict":5})")->generation.given,
              (GivenFields{.top_k = true, .max_tokens = true}));
    EXPECT_EQ(refusal(chat(R"("options":{"max_tokens":5})")),
              "options.max_tokens: options.max_tokens is not supported");
}

TEST(Ollama, AsManyTokensAsThereIsRoomFor) {
    EXPECT_EQ(chat(R"("options":{"num_predict":-1})")->generation.max_tokens, -1);
    EXPECT_EQ(chat(R"("options":{"num_predict":-2})")->generation.max_tokens, -1);
    EXPECT_TRUE(refusal(chat(R"("options":{"num_predict":0})")).starts_with("options.num_predict: "));
    EXPECT_TRUE(refusal(chat(R"("options":{"num_predict":-3})")).starts_with("options.num_predict: "));
}

TEST(Ollama, FormatIsJsonOrASchema) {
    EXPECT_EQ(chat(R"("format":"json")")->generation.json_schema, R"({"type":"object"})");
    EXPECT_EQ(chat(R"("format":"")")->generation.json_schema, "");
    EXPECT_EQ(chat(R"("format":{"type":"integer"})")->generation.json_schema, R"({"type":"integer"})");
    EXPECT_EQ(refusal(chat(R"("format":"xml")")), "format: format must be \"json\" or a JSON Schema");
    EXPECT_TRUE(refusal(chat(R"("format":{"type":"number","pattern":7,"multipleOf":0.1})")).starts_with("format: "));
}

TEST(Ollama, WithoutAPromptTheModelIsLoadedOrUnloaded) {
    EXPECT_EQ(parse_chat(R"({"model":"m"})")->order, Order::kLoad);
    EXPECT_EQ(parse_chat(R"({"model":"m","messages":[],"keep_alive":"1h"})")->order, Order::kLoad);
    EXPECT_EQ(parse_chat(R"({"model":"m","messages":[],"keep_alive":0})")->order, Order::kUnload);
    EXPECT_EQ(parse_generate(R"({"model":"m"})")->order, Order::kLoad);
    EXPECT_EQ(parse_generate(R"({"model":"m","prompt":"","keep_alive":"0s"})")->order, Order::kUnload);
    EXPECT_EQ(chat(R"("keep_alive":0)")->order, Order::kAnswer);
}

TEST(Ollama, GenerateMakesAChatUnlessItIsRaw) {
    const auto plain = generate(R"("system":"Be brief.")");
    ASSERT_TRUE(plain) << refusal(plain);
    EXPECT_TRUE(plain->plain_without_template);
    EXPECT_EQ(std::get<Chat>(plain->generation.prompt),
              (Chat{{text_message(Role::kSystem, "Be brief."), text_message(Role::kUser, "hi")}}));
    const auto raw = generate(R"("raw":true)");
    ASSERT_TRUE(raw) << refusal(raw);
    EXPECT_FALSE(raw->plain_without_template);
    EXPECT_EQ(std::get<std::string>(raw->generation.prompt), "hi");
    EXPECT_TRUE(refusal(generate(R"("raw":true,"system":"x")")).starts_with("system: "));
}

TEST(Ollama, AGapIsBetweenTwoTexts) {
    const auto gap = generate(R"("suffix":"return x")");
    ASSERT_TRUE(gap) << refusal(gap);
    EXPECT_EQ(std::get<Infill>(gap->generation.prompt), (Infill{"hi", "return x"}));
    EXPECT_FALSE(gap->plain_without_template);
    const auto only = parse_generate(R"({"model":"m","suffix":"b"})");
    ASSERT_TRUE(only) << refusal(only);
    EXPECT_EQ(only->order, Order::kAnswer) << "the text may end with the gap";
    for (const char* field : {R"("raw":true)", R"("system":"x")", R"("context":[1])"}) {
        EXPECT_FALSE(generate(std::string(R"("suffix":"b",)") + field)) << field;
    }
}

TEST(Ollama, AGenerationGoesOnWhereAnEarlierOneEnded) {
    const auto first = generate(R"("options":{})");
    EXPECT_TRUE(first->generation.returns_tokens);
    EXPECT_TRUE(first->generation.context.empty());
    const auto next = generate(R"("context":[0,7,151935])");
    ASSERT_TRUE(next) << refusal(next);
    EXPECT_EQ(next->generation.context, (std::vector<std::int32_t>{0, 7, 151935}));
    EXPECT_FALSE(generate(R"("raw":true)")->generation.returns_tokens);
    EXPECT_TRUE(refusal(generate(R"("raw":true,"context":[1])")).starts_with("context: "));
    EXPECT_TRUE(chat(R"("truncate":true)")->generation.truncate);
}

TEST(Ollama, AGenerationMayHaveATemplateOfItsOwn) {
    const auto other = generate(R"("template":"Q: {{ .Prompt }} A:")");
    ASSERT_TRUE(other) << refusal(other);
    EXPECT_EQ(other->generation.chat_template, "Q: {{ .Prompt }} A:");
    EXPECT_FALSE(other->plain_without_template);
    EXPECT_TRUE(refusal(generate(R"("template":"x","raw":true)")).starts_with("template: "));
    EXPECT_FALSE(chat(R"("template":"x")"));
}

TEST(Ollama, TheLastMessageOfTheAssistantIsContinued) {
    const auto request =
        parse_chat(R"({"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"He",)"
                   R"("thinking":"hm"}]})");
    ASSERT_TRUE(request) << refusal(request);
    const auto& prompt = std::get<Chat>(request->generation.prompt);
    EXPECT_EQ(prompt.turn, Turn::kContinue);
    EXPECT_EQ(prompt.messages.back().reasoning, "hm");
}

TEST(Ollama, WhatWouldChangeTheAnswerIsRefusedByName) {
    for (const auto& [field, name] : std::initializer_list<std::pair<const char*, const char*>>{
             {R"("think":"much")", "think"},
             {R"("truncate":1)", "truncate"},
             {R"("shift":true)", "shift"},
             {R"("tools":[{"type":"function"}])", "tools[0].function"},
             {R"("temperature":0.5)", "temperature"},
             {R"("nonsense":1)", "nonsense"},
             {R"("options":7)", "options"},
             {R"("options":{"mirostat":3})", "options.mirostat"},
             {R"("options":{"tfs_z":0.5})", "options.tfs_z"},
             {R"("options":{"typical_p":0})", "options.typical_p"},
             {R"("options":{"repeat_last_n":-2})", "options.repeat_last_n"},
             {R"("options":{"nonsense":1})", "options.nonsense"},
             {R"("options":{"temperature":3})", "options.temperature"},
             {R"("options":{"num_ctx":0})", "options.num_ctx"}}) {
        const auto request = chat(field);
        ASSERT_FALSE(request) << field;
        EXPECT_EQ(request.error().field, name);
        EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument);
    }
    for (const char* field :
         {R"("truncate":true)", R"("template":7)", R"("context":7)", R"("context":[-1])", R"("context":[1.5])",
          R"("context":["1"])", R"("context":[4294967296])", R"("suffix":1)", R"("images":"aGk=")"}) {
        const auto request = generate(field);
        ASSERT_FALSE(request) << field;
        EXPECT_NE(std::string_view(field).find('"' + request.error().field + '"'), std::string_view::npos);
    }
    EXPECT_NE(refusal(chat(R"("top_p":0.5)")).find("options"), std::string::npos) << "where it belongs is said";
}

TEST(Ollama, WhatAsksForNothingPasses) {
    for (const char* field : {R"("think":false)", R"("truncate":false)", R"("shift":false)", R"("tools":[])",
                              R"("options":null)", R"("options":{"repeat_last_n":0})", R"("format":null)"}) {
        EXPECT_TRUE(chat(field)) << field << ": " << refusal(chat(field));
    }
    for (const char* field : {R"("suffix":"")", R"("template":"")", R"("context":[])", R"("images":[])"}) {
        EXPECT_TRUE(generate(field)) << field << ": " << refusal(generate(field));
    }
}

}  // namespace
}  // namespace sutazai::api::ollama
