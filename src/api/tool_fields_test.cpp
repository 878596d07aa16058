#include "api/tool_fields.h"

#include <gtest/gtest.h>

#include <string>

#include "api/openai.h"

namespace sutazai::api {
namespace {

Result<openai::OpenAiChatRequest> read(const std::string& fields) {
    return openai::parse_chat(R"({"messages":[{"role":"user","content":"x"}],)" + fields + "}");
}
std::string refusal(const std::string& fields) {
    const auto request = read(fields);
    return request ? "accepted" : request.error().message;
}
Chat chat(const std::string& fields) {
    const auto request = read(fields);
    EXPECT_TRUE(request) << fields << ": " << (request ? "" : request.error().message);
    return request ? std::get<Chat>(request->generation.prompt) : Chat();
}

const std::string kTools =
    R"("tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"type":"object"}}},
                {"type":"function","function":{"name":"g"}}])";

TEST(ToolFields, AreRead) {
    const Chat read = chat(kTools);
    EXPECT_EQ(read.tools, (std::vector<Tool>{{"f", "d", R"({"type":"object"})", true}, {"g"}}));
    EXPECT_EQ(read.tool_choice, ToolChoice::kAuto);
    EXPECT_TRUE(read.parallel_tool_calls);
    EXPECT_EQ(chat(kTools + R"(,"tool_choice":"none")").tool_choice, ToolChoice::kNone);
    EXPECT_EQ(chat(kTools + R"(,"tool_choice":"required")").tool_choice, ToolChoice::kRequired);
    const Chat named = chat(kTools + R"(,"parallel_tool_calls":false,
                                        "tool_choice":{"type":"function","function":{"name":"g"}})");
    EXPECT_EQ(named.tool_choice, ToolChoice::kRequired);
    EXPECT_EQ(named.named_tool, "g");
    EXPECT_FALSE(named.parallel_tool_calls);
}

TEST(ToolFields, NameWhatIsWrong) {
    EXPECT_EQ(refusal(R"("tools":{})"), "tools must be an array (got an object)");
    EXPECT_EQ(refusal(R"("tools":[1])"), "tools[0] must be an object (got a number)");
    EXPECT_EQ(refusal(R"("tools":[{"type":"web_search"}])"), "tools[0].type must be \"function\"");
    EXPECT_EQ(refusal(R"("tools":[{"function":{}}])"), "tools[0].function.name is missing");
    EXPECT_EQ(refusal(R"("tools":[{"function":{"name":"a b"}}])"),
              "tools[0].function.name must be 1 to 128 letters, digits and any of _-.:/");
    EXPECT_EQ(refusal(R"("tools":[{"function":{"name":"a","parameters":3}}])"),
              "tools[0].function.parameters must be an object (got a number)");
    EXPECT_EQ(refusal(R"("tools":[{"function":{"name":"a"}},{"function":{"name":"a"}}])"),
              "tools[1].function.name is another tool's, too");
    EXPECT_EQ(refusal(R"("tools":[{"function":{"name":"a","description":")" + std::string(300'000, 'x') + "\"}}]"),
              "tools have 300001 bytes; at most 262144 are allowed");
    std::string many = R"("tools":[)";
    for (int i = 0; i < 513; ++i) many += i == 0 ? "0" : ",0";
    EXPECT_EQ(refusal(many + "]"), "tools must hold at most 512 tools (got 513)");
    EXPECT_EQ(refusal(R"("tool_choice":"required")"), "tool_choice needs tools");
    EXPECT_EQ(refusal(kTools + R"(,"tool_choice":"any")"),
              R"(tool_choice must be "auto", "none", "required" or {"type": "function", "function": {"name": ...}})");
    EXPECT_EQ(refusal(kTools + R"(,"tool_choice":{"type":"function","function":{"name":"h"}})"),
              "tool_choice.function.name must be one of the tools'");
}

TEST(ReasoningFields, AreRead) {
    EXPECT_EQ(chat(R"("reasoning_effort":"high")").reasoning, (Reasoning{.effort = "high"}));
    EXPECT_EQ(chat(R"("reasoning_effort":"none")").reasoning, (Reasoning{.wanted = false}));
    EXPECT_EQ(chat(R"("reasoning_format":"none","reasoning_budget_tokens":5)").reasoning,
              (Reasoning{.budget_tokens = 5, .apart = false}));
    const Chat named = chat(R"("chat_template_kwargs":{"enable_thinking":false,"color":"red"})");
    EXPECT_EQ(named.reasoning, (Reasoning{.wanted = false}));
    EXPECT_EQ(named.template_arguments, R"({"color":"red"})");
    EXPECT_EQ(refusal(R"("reasoning_effort":"much")"),
              "reasoning_effort must be none, minimal, low, medium, high, xhigh or max");
    EXPECT_EQ(refusal(R"("reasoning_budget_tokens":-2)"),
              "reasoning_budget_tokens must be between -1 and 2147483647 (got -2)");
    EXPECT_EQ(refusal(R"("reasoning_format":"x")"), "reasoning_format must be auto, none or deepseek");
    EXPECT_EQ(refusal(R"("chat_template_kwargs":{"messages":[]})"),
              "chat_template_kwargs.messages is not for a client to say");
}

}  // namespace
}  // namespace sutazai::api
