#include "api/chat_fields.h"

#include <gtest/gtest.h>

namespace sutazai::api {
namespace {

Result<ChatRequest> read(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    ChatRequest request;
    read_chat_fields(fields, request);
    if (error) return std::unexpected(*error);
    return request;
}

/// A good request with one more field.
Result<ChatRequest> with(std::string_view field) {
    return read(R"({"messages":[{"role":"user","content":"hi"}],)" + std::string(field) + "}");
}

Result<ChatRequest> with_message(std::string_view message) {
    return read(R"({"messages":[)" + std::string(message) + "]}");
}

std::string refusal(const Result<ChatRequest>& result) {
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

TEST(ChatFieldsOfAdapters, AreNamesAndScales) {
    const auto request = with(R"("adapters": [{"name": "a"}, {"name": "b", "scale": -0.5}])");
    ASSERT_TRUE(request.has_value());
    EXPECT_TRUE(request->generation.given.adapters);
    EXPECT_EQ(request->generation.adapters, (std::vector<AdapterChoice>{{"a", "", 1}, {"b", "", -0.5F}}));
    EXPECT_TRUE(with(R"("adapters": [])")->generation.given.adapters);
    EXPECT_FALSE(with(R"("adapters": null)")->generation.given.adapters);
    EXPECT_EQ(refusal(with(R"("adapters": "a")")), "adapters: adapters must be a list of at most 16 adapters");
    EXPECT_EQ(refusal(with(R"("adapters": ["a"])")), "adapters[0]: adapters[0] must be an object (got a string)");
    EXPECT_EQ(refusal(with(R"("adapters": [{}])")), "adapters[0].name: adapters[0].name is missing");
    EXPECT_TRUE(refusal(with(R"("adapters": [{"name": "a", "scale": 11}])")).starts_with("adapters[0].scale: "));
    EXPECT_TRUE(
        refusal(with(R"("adapters": [{"name": "a", "path": "/etc/passwd"}])")).starts_with("adapters[0].path: "));
}

TEST(ChatFields, ReadsEveryField) {
    const auto request = read(R"({
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße"},
                     {"role": "assistant", "content": ""}],
        "model": "qwen2.5:3b", "temperature": 0.5, "top_p": 0.25, "top_k": 7, "min_p": 0.125, "repeat_penalty": 1.5,
        "presence_penalty": -2, "frequency_penalty": 2, "seed": 42, "max_tokens": 9, "stop": ["a", "b"],
        "ignore_eos": true, "priority": -5, "stream": true})");
    ASSERT_TRUE(request) << refusal(request);
    GenerationRequest expected;
    expected.prompt = Chat{{text_message(Role::kSystem, "Be brief."), text_message(Role::kUser, "Grüße"),
                            text_message(Role::kAssistant, "")},
                           Turn::kContinue};
    expected.sampling = {.temperature = 0.5F,
                         .top_k = 7,
                         .top_p = 0.25F,
                         .min_p = 0.125F,
                         .repeat_penalty = 1.5F,
                         .presence_penalty = -2,
                         .frequency_penalty = 2,
                         .seed = 42};
    expected.max_tokens = 9;
    expected.stop = {"a", "b"};
    expected.ignore_eos = true;
    expected.priority = -5;
    expected.given = {true, true, true, true, true, true, true, true, true, true};
    EXPECT_EQ(request->generation, expected);
    EXPECT_EQ(request->model, "qwen2.5:3b");
    EXPECT_TRUE(request->stream);
}

TEST(ChatFields, LeavesDefaultsWhereFieldsAreAbsentOrNull) {
    const auto request = with(R"("temperature": null, "seed": null, "stop": null, "model": null)");
    ASSERT_TRUE(request) << refusal(request);
    EXPECT_EQ(request->generation.sampling, SamplingParams{});
    EXPECT_EQ(request->generation.max_tokens, -1);
    EXPECT_TRUE(request->model.empty());
}

TEST(ChatFields, EveryRangeIsKept) {
    const std::pair<const char*, const char*> cases[] = {
        {R"("temperature": 2.5)", "temperature: temperature must be between 0 and 2 (got 2.5)"},
        {R"("top_p": 0)", "top_p: top_p must be above 0 and at most 1 (got 0)"},
        {R"("top_p": 1.5)", "top_p: top_p must be above 0 and at most 1 (got 1.5)"},
        {R"("top_k": -1)", "top_k: top_k must be between 0 and 10000 (got -1)"},
        {R"("top_k": 10001)", "top_k: top_k must be between 0 and 10000 (got 10001)"},
        {R"("min_p": 1.5)", "min_p: min_p must be between 0 and 1 (got 1.5)"},
        {R"("repeat_penalty": 0)", "repeat_penalty: repeat_penalty must be above 0 and at most 2 (got 0)"},
        {R"("presence_penalty": 3)", "presence_penalty: presence_penalty must be between -2 and 2 (got 3)"},
        {R"("frequency_penalty": -3)", "frequency_penalty: frequency_penalty must be between -2 and 2 (got -3)"},
        {R"("seed": 0.5)", "seed: seed must be a whole number (got 0.5)"},
        {R"("max_tokens": 0)", "max_tokens: max_tokens must be between 1 and 2147483647 (got 0)"},
        {R"("max_tokens": -1)", "max_tokens: max_tokens must be between 1 and 2147483647 (got -1)"},
        {R"("priority": 1001)", "priority: priority must be between -1000 and 1000 (got 1001)"},
        {R"("ignore_eos": 1)", "ignore_eos: ignore_eos must be true or false (got a number)"},
        {R"("stream": "yes")", "stream: stream must be true or false (got a string)"},
        {R"("model": 3)", "model: model must be a string (got a number)"},
    };
    for (const auto& [field, expected] : cases) EXPECT_EQ(refusal(with(field)), expected);
}

TEST(ChatFields, EverySeedIsOneOfItsOwn) {
    EXPECT_EQ(with(R"("seed": 4294967298)")->generation.sampling.seed, 4294967298U);
    EXPECT_EQ(with(R"("seed": 9223372036854775807)")->generation.sampling.seed, 9223372036854775807U);
    EXPECT_EQ(with(R"("seed": -2)")->generation.sampling.seed, 18446744073709551614U);
    EXPECT_EQ(refusal(with(R"("seed": 9223372036854775808)")),
              "seed: seed must be between -9223372036854775808 and 9223372036854775807 (got 9223372036854775808)");
    EXPECT_EQ(with(R"("seed": 0)")->generation.sampling.seed, 0U);
    EXPECT_FALSE(with(R"("seed": -1)")->generation.sampling.seed) << "random";
}

TEST(ChatFields, StopIsAStringOrAFew) {
    EXPECT_EQ(with(R"("stop": "x")")->generation.stop, std::vector<std::string>{"x"});
    EXPECT_TRUE(with(R"("stop": [])")->generation.stop.empty());
    EXPECT_EQ(refusal(with(R"("stop": "")")), "stop: stop must have 1 to 256 bytes (got 0)");
    EXPECT_EQ(refusal(with(R"("stop": ["a", 1])")), "stop[1]: stop[1] must be a string (got a number)");
    EXPECT_EQ(refusal(with(R"("stop": 1)")), "stop: stop must be a string or an array of strings (got a number)");
    EXPECT_EQ(refusal(with(R"("stop": ")" + std::string(257, 'x') + '"')),
              "stop: stop must have 1 to 256 bytes (got 257)");
    std::string many = R"("stop": [)";
    for (int i = 0; i < 17; ++i) many += i == 0 ? R"("x")" : R"(,"x")";
    EXPECT_EQ(refusal(with(many + "]")), "stop: stop must hold at most 16 strings (got 17)");
}

TEST(ChatFields, ContentMayComeInTextParts) {
    const auto request =
        with_message(R"({"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})");
    ASSERT_TRUE(request) << refusal(request);
    ChatMessage expected = text_message(Role::kDeveloper, "a");
    expected.content.push_back({"b"});
    EXPECT_EQ(std::get<Chat>(request->generation.prompt), (Chat{{expected}}));
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":[{"type":"input_audio","input_audio":{}}]})")),
              "messages[0].content[0].type: messages[0].content[0].type \"input_audio\" is not supported; \"text\" and "
              "\"image_url\" are");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":[{"type":"text"}]})")),
              "messages[0].content[0].text: messages[0].content[0].text is missing");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":["a"]})")),
              "messages[0].content[0]: messages[0].content[0] must be an object with a type (got a string)");
}

TEST(ChatFields, MessagesAreChecked) {
    EXPECT_EQ(refusal(read("{}")), "messages: messages is missing");
    EXPECT_EQ(refusal(read(R"({"messages":"hi"})")), "messages: messages must be an array (got a string)");
    EXPECT_EQ(refusal(read(R"({"messages":[]})")), "messages: messages must hold 1 to 4096 messages (got 0)");
    EXPECT_EQ(refusal(with_message("1")), "messages[0]: messages[0] must be an object (got a number)");
    EXPECT_EQ(refusal(with_message(R"({"content":"x"})")), "messages[0].role: messages[0].role is missing");
    EXPECT_EQ(refusal(with_message(R"({"role":"user"})")), "messages[0].content: messages[0].content is missing");
    EXPECT_EQ(refusal(with_message(R"({"role":"god","content":"x"})")),
              "messages[0].role: messages[0].role must be system, developer, user, assistant or tool (got \"god\")");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":{}})")),
              "messages[0].content: messages[0].content must be a string or an array of parts (got an object)");
    std::string many = R"({"messages":[)";
    for (int i = 0; i < 4097; ++i) many += i == 0 ? "0" : ",0";
    EXPECT_EQ(refusal(read(many + "]}")), "messages: messages must hold 1 to 4096 messages (got 4097)");
}

TEST(ChatFields, CallsAndWhatTheyGaveAreRead) {
    const auto request = with_message(R"({"role":"user","content":"x"},
        {"role":"assistant","content":null,"tool_calls":[
            {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},
            {"function":{"index":1,"name":"g","arguments":{"b":[2]}}}]},
        {"role":"tool","content":"y","tool_call_id":"1"},{"role":"tool","content":"z","tool_name":"g"})");
    ASSERT_TRUE(request) << refusal(request);
    const auto& messages = std::get<Chat>(request->generation.prompt).messages;
    EXPECT_EQ(messages.at(1).tool_calls, (std::vector<ToolCall>{{"1", "f", R"({"a": 1})"}, {"", "g", R"({"b":[2]})"}}));
    EXPECT_TRUE(messages.at(1).content.empty());
    EXPECT_EQ(messages.at(2).tool_call_id, "1");
    EXPECT_EQ(messages.at(3).name, "g");
    EXPECT_EQ(std::get<Chat>(request->generation.prompt).turn, Turn::kNew);
}

TEST(ChatFields, CallsThatAreNoneAreRefusedByName) {
    EXPECT_EQ(refusal(with_message(R"({"role":"assistant","content":null,"tool_calls":[{"id":"1"}]})")),
              "messages[0].tool_calls[0].function: messages[0].tool_calls[0].function is missing");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":"x","tool_calls":[{"id":"1"}]})")),
              "messages[0].tool_calls: messages[0].tool_calls goes with the assistant's messages only");
    EXPECT_EQ(
        refusal(with_message(R"({"role":"function","name":"f","content":"x"})")),
        "messages[0].role: messages[0].role must be system, developer, user, assistant or tool (got \"function\")");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","content":"x","tool_call_id":"1"})")),
              "messages[0].tool_call_id: messages[0].tool_call_id goes with a tool's messages only");
    EXPECT_EQ(refusal(with_message(R"({"role":"assistant","content":"x","tool_calls":[],"function_call":null})")),
              "accepted");
    EXPECT_EQ(refusal(with_message(R"({"role":"assistant","content":null})")),
              "messages[0].content: messages[0].content is missing");
}

TEST(ChatFields, NamesAndReasoningAreRead) {
    const auto request = with_message(R"({"role":"user","name":"Bo","content":"x"},
                        {"role":"assistant","reasoning_content":"hm","content":"y"},
                        {"role":"assistant","reasoning":"so","content":"z"},{"role":"user","content":"x"})");
    ASSERT_TRUE(request) << refusal(request);
    const auto& messages = std::get<Chat>(request->generation.prompt).messages;
    EXPECT_EQ(messages.at(0).name, "Bo");
    EXPECT_EQ(messages.at(1).reasoning, "hm");
    EXPECT_EQ(messages.at(2).reasoning, "so");
    EXPECT_EQ(refusal(with_message(R"({"role":"user","reasoning":"hm","content":"x"})")),
              "messages[0].reasoning: messages[0].reasoning goes with the assistant's messages only");
}

TEST(ChatFields, AnAnswerThatHasBegunGoesOn) {
    const auto turn = [](std::string_view last, std::string_view fields = "") {
        const auto request = read(R"({"messages":[{"role":"user","content":"hi"},{"role":")" + std::string(last) +
                                  R"(","content":"x"}])" + std::string(fields) + "}");
        EXPECT_TRUE(request) << refusal(request);
        return std::get<Chat>(request->generation.prompt).turn;
    };
    EXPECT_EQ(turn("user"), Turn::kNew);
    EXPECT_EQ(turn("user", R"(,"add_generation_prompt":true)"), Turn::kNew);
    EXPECT_EQ(turn("user", R"(,"add_generation_prompt":false)"), Turn::kOpen);
    EXPECT_EQ(turn("user", R"(,"continue_final_message":false)"), Turn::kNew);
    EXPECT_EQ(turn("assistant"), Turn::kContinue);
    EXPECT_EQ(turn("assistant", R"(,"add_generation_prompt":false)"), Turn::kContinue);
    EXPECT_EQ(turn("assistant", R"(,"continue_final_message":true,"add_generation_prompt":false)"), Turn::kContinue);
    EXPECT_EQ(turn("assistant", R"(,"add_generation_prompt":true)"), Turn::kNew);
    EXPECT_EQ(turn("assistant", R"(,"continue_final_message":false)"), Turn::kNew);
    EXPECT_EQ(turn("assistant", R"(,"continue_final_message":false,"add_generation_prompt":false)"), Turn::kOpen);

    EXPECT_EQ(refusal(with(R"("continue_final_message": true)")),
              "continue_final_message: continue_final_message needs a last message that is the assistant's");
    EXPECT_EQ(refusal(with(R"("continue_final_message": true, "add_generation_prompt": true)")),
              "continue_final_message: continue_final_message and add_generation_prompt exclude each other");
    EXPECT_EQ(refusal(with(R"("continue_final_message": "yes")")),
              "continue_final_message: continue_final_message must be true or false (got a string)");
}

TEST(ChatFields, KeepAliveIsATimeOrANumberOfSeconds) {
    using namespace std::chrono_literals;
    EXPECT_EQ(with(R"("keep_alive": "5m")")->keep_alive, 5min);
    EXPECT_EQ(with(R"("keep_alive": 30)")->keep_alive, 30s);
    EXPECT_EQ(with(R"("keep_alive": 0.5)")->keep_alive, 500ms);
    EXPECT_EQ(with(R"("keep_alive": "0")")->keep_alive, 0ms);
    EXPECT_EQ(with(R"("keep_alive": -1)")->keep_alive, kKeepForEver);
    EXPECT_EQ(with(R"("keep_alive": "-5m")")->keep_alive, kKeepForEver);
    EXPECT_EQ(with(R"("keep_alive": null)")->keep_alive, std::nullopt);
    for (const char* wrong : {"\"soon\"", "true", "[]", "1e300", "\"\""}) {
        EXPECT_EQ(refusal(with("\"keep_alive\": " + std::string(wrong))),
                  "keep_alive: keep_alive must be a time such as \"5m\" or \"1h30m\", or a number of seconds")
            << wrong;
    }
}

}  // namespace
}  // namespace sutazai::api
