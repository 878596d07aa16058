#include "api/anthropic.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "api/anthropic_messages.h"

namespace sutazai::api::anthropic {
namespace {

constexpr std::string_view kHi = R"("messages":[{"role":"user","content":"hi"}],"max_tokens":8)";

Result<MessagesRequest> with(std::string_view field) {
    return parse_messages("{" + std::string(kHi) + "," + std::string(field) + "}");
}

Result<MessagesRequest> with_messages(std::string_view messages, std::string_view more = "") {
    return parse_messages(R"({"max_tokens":8,"messages":[)" + std::string(messages) + "]" + std::string(more) + "}");
}

std::string refusal(const Result<MessagesRequest>& result) {
    return result ? "accepted" : result.error().field + ": " + result.error().message;
}

Chat chat_of(const Result<MessagesRequest>& result) {
    EXPECT_TRUE(result.has_value()) << refusal(result);
    return result ? std::get<Chat>(result->generation.prompt) : Chat{};
}

/// "user: a|b; assistant: c [f {}]; tool 1 f: d"
std::string shown(const Chat& chat) {
    std::string out;
    for (const ChatMessage& message : chat.messages) {
        if (!out.empty()) out += "; ";
        out += to_string(message.role);
        if (!message.tool_call_id.empty()) out += " " + message.tool_call_id + " " + message.name;
        out += ":";
        if (!message.reasoning.empty()) out += " (" + message.reasoning + ")";
        for (const ContentPart& part : message.content)
            out += (&part == message.content.data() ? " " : "|") + part.text;
        for (const ToolCall& call : message.tool_calls) out += " [" + call.name + " " + call.arguments + "]";
    }
    return out;
}

TEST(AnthropicMessages, BecomeAChat) {
    const Chat chat = chat_of(with_messages(
        R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},)"
        R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},)"
        R"({"type":"redacted_thinking","data":"y"},{"type":"text","text":"c"},)"
        R"({"type":"tool_use","id":"1","name":"f","input":{"n":1.0}},{"type":"tool_use","id":"2","name":"g","input":{}}]},)"
        R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"d"},)"
        R"({"type":"tool_result","tool_use_id":"2","is_error":true,"content":[{"type":"text","text":"e"}]},)"
        R"({"type":"text","text":"f"}]})",
        R"(,"system":"s")"));
    EXPECT_EQ(
        shown(chat),
        "system: s; user: a|b; assistant: (hm) c [f {\"n\":1.0}] [g {}]; tool 1 f: d; tool 2 g: Error: e; user: f");
    EXPECT_EQ(chat.turn, Turn::kNew);
}

TEST(AnthropicMessages, OfOneRoleAreOne) {
    const auto text = [](const char* role, const char* said) {
        return fmt::format(R"({{"role":"{}","content":"{}"}})", role, said);
    };
    const std::string messages =
        text("user", "a") + "," + text("user", "b") + "," + text("assistant", "c") + "," + text("assistant", "d");
    const Chat chat = chat_of(with_messages(messages));
    EXPECT_EQ(shown(chat), "user: a\n\n|b; assistant: c|d");
    EXPECT_EQ(chat.turn, Turn::kContinue);
    EXPECT_EQ(shown(chat_of(with_messages(text("system", "b") + "," + text("user", "c"), R"(,"system":"a")"))),
              "system: a\n\n|b; user: c");
    EXPECT_EQ(shown(chat_of(with_messages(text("user", "a") + "," + text("system", "b")))),
              "user: a\n\n|<system-reminder>\nb\n</system-reminder>")
        << "where the template may have no place for it";
}

TEST(AnthropicMessages, HaveASystemWithoutWhatIsForBilling) {
    const auto system = [](std::string_view text) { return shown(chat_of(with(R"("system":)" + std::string(text)))); };
    EXPECT_EQ(system(R"([{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}])"),
              "system: a\n\n|b; user: hi");
    EXPECT_EQ(system(R"([{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"b"}])"),
              "system: b; user: hi");
    EXPECT_EQ(system(R"("x-anthropic-billing-header: cch=1;\nYou are")"), "system: You are; user: hi");
    EXPECT_EQ(system(R"("x-anthropic-billing-header: cch=1;")"), "user: hi");
    EXPECT_EQ(system("[]"), "user: hi");
}

TEST(AnthropicMessages, AreRefusedByName) {
    EXPECT_EQ(refusal(parse_messages("{}")), "messages: messages is missing");
    EXPECT_EQ(refusal(parse_messages(R"({"messages":[{"role":"user","content":"hi"}]})")),
              "max_tokens: max_tokens is missing");
    EXPECT_EQ(refusal(with_messages("")), "messages: messages must hold 1 to 4096 messages (got 0)");
    EXPECT_EQ(refusal(with_messages(R"({"role":"tool","content":"a"})")),
              "messages[0].role: messages[0].role must be user, assistant or system");
    EXPECT_EQ(refusal(with_messages(R"({"role":"user","content":[{"type":"image","source":{}}]})")),
              "messages[0].content[0].source.type: messages[0].content[0].source.type is missing");
    EXPECT_EQ(
        refusal(with_messages(R"({"role":"user","content":[{"type":"document","source":{}}]})")),
        "messages[0].content[0].type: messages[0].content[0].type \"document\" is not supported yet; text, image or "
        "tool_result is");
    EXPECT_EQ(refusal(with_messages(R"({"role":"user","content":[{"type":"thinking","thinking":""}]})")),
              "messages[0].content[0].type: messages[0].content[0].type \"thinking\" goes with another role");
    EXPECT_EQ(refusal(with_messages(R"({"role":"user","content":[{"type":"text","text":"a","x":1}]})")),
              "messages[0].content[0].x: messages[0].content[0].x is not supported");
    EXPECT_EQ(refusal(with_messages(R"({"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f"}]})")),
              "messages[0].content[0].input: messages[0].content[0].input is missing");
    EXPECT_EQ(refusal(with_messages(R"({"role":"assistant","content":[{"type":"redacted_thinking","data":"a"}]})")),
              "messages: messages hold nothing that can be read here");
    EXPECT_EQ(refusal(with(R"("container":"c")")), "container: container is not supported");
    EXPECT_EQ(refusal(with(R"("inference_geo":"us")")), "inference_geo: inference_geo is not supported");
    EXPECT_EQ(refusal(with(R"("mcp_servers":[{}])")),
              "mcp_servers: mcp_servers is not supported: this server calls no tools itself");
}

TEST(Anthropic, ReadsTheFieldsOfAGeneration) {
    const auto request =
        with(R"("model":"m","temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["a","b"],"stream":true,)"
             R"("metadata":{"user_id":"u"},"service_tier":"auto","speed":"fast","diagnostics":{},"min_p":0.1,"seed":7,)"
             R"("keep_alive":"5m","priority":1,"mcp_servers":[],"container":null)");
    ASSERT_TRUE(request.has_value()) << refusal(request);
    EXPECT_EQ(request->model, "m");
    EXPECT_TRUE(request->stream);
    const GenerationRequest& generation = request->generation;
    EXPECT_EQ(generation.max_tokens, 8);
    EXPECT_EQ(generation.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(generation.given.stop && generation.given.temperature && generation.given.top_k);
    EXPECT_EQ(generation.sampling.seed, 7U);
    EXPECT_EQ(generation.priority, 1);
    EXPECT_EQ(refusal(with(R"("stop_sequences":[""])")),
              "stop_sequences[0]: stop_sequences[0] must have 1 to 256 bytes (got 0)");
    EXPECT_EQ(refusal(with(R"("max_tokens":-1)")), "max_tokens: max_tokens must be between 0 and 2147483647 (got -1)");
}

TEST(Anthropic, ComputesThePromptAloneForNoTokens) {
    const auto request = parse_messages(R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":0})");
    ASSERT_TRUE(request.has_value());
    EXPECT_TRUE(request->writes_nothing);
    EXPECT_EQ(request->generation.max_tokens, 1);
}

TEST(Anthropic, ReadsTools) {
    const auto tools = [](std::string_view more) {
        return with(R"("tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,)"
                    R"("cache_control":{"type":"ephemeral"},"eager_input_streaming":true,"type":"custom",)"
                    R"("input_examples":[{"a":1}],"allowed_callers":["direct"],"defer_loading":false},)"
                    R"({"name":"g","input_schema":{"type":"object"}}])" +
                    std::string(more));
    };
    const Chat chat = chat_of(tools(""));
    ASSERT_EQ(chat.tools.size(), 2U);
    EXPECT_EQ(chat.tools.front(), (Tool{"f", "d\n\nExamples of its input:\n{\"a\":1}", R"({"type":"object"})", true}));
    EXPECT_EQ(chat.tool_choice, ToolChoice::kAuto);
    EXPECT_EQ(chat_of(tools(R"(,"tool_choice":{"type":"none"})")).tool_choice, ToolChoice::kNone);
    EXPECT_EQ(chat_of(tools(R"(,"tool_choice":{"type":"any"})")).tool_choice, ToolChoice::kRequired);
    const Chat named = chat_of(tools(R"(,"tool_choice":{"type":"tool","name":"g","disable_parallel_tool_use":true})"));
    EXPECT_EQ(named.tool_choice, ToolChoice::kRequired);
    EXPECT_EQ(named.named_tool, "g");
    EXPECT_FALSE(named.parallel_tool_calls);
    EXPECT_EQ(refusal(tools(R"(,"tool_choice":{"type":"tool","name":"h"})")),
              "tool_choice.name: tool_choice.name must be one of the tools'");
    EXPECT_EQ(refusal(tools(R"(,"tool_choice":"auto")")), "tool_choice: tool_choice must be an object (got a string)");
    EXPECT_EQ(refusal(with(R"("tool_choice":{"type":"any"})")), "tool_choice: tool_choice needs tools");
    EXPECT_EQ(
        refusal(with(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])")),
        "tools[0].type: tools[0].type \"web_search_20250305\" is a tool of Anthropic's own, which this server has "
        "not; only \"custom\" is supported");
    EXPECT_EQ(refusal(with(R"("tools":[{"name":"f"}])")), "tools[0].input_schema: tools[0].input_schema is missing");
    EXPECT_EQ(refusal(with(R"("tools":[{"name":"f","input_schema":{}},{"name":"f","input_schema":{}}])")),
              "tools[1].name: tools[1].name is another tool's, too");
}

TEST(Anthropic, ReadsHowTheModelIsToThink) {
    const auto reasoning = [](std::string_view field) { return chat_of(with(field)).reasoning; };
    EXPECT_EQ(reasoning(R"("top_k":1)").wanted, std::nullopt);
    EXPECT_EQ(reasoning(R"("thinking":{"type":"disabled"})").wanted, false);
    EXPECT_EQ(reasoning(R"("thinking":{"type":"adaptive"})"), Reasoning{});
    EXPECT_EQ(reasoning(R"("thinking":{"type":"enabled","budget_tokens":1024})"),
              (Reasoning{.wanted = true, .budget_tokens = 1024}));
    EXPECT_EQ(reasoning(R"("output_config":{"effort":"low"})").effort, "low");
    EXPECT_TRUE(with(R"("thinking":{"type":"adaptive","display":"omitted"})")->hides_thoughts);
    EXPECT_FALSE(with(R"("thinking":{"type":"adaptive","display":"summarized"})")->hides_thoughts);
    EXPECT_EQ(refusal(with(R"("thinking":{"type":"enabled"})")),
              "thinking.budget_tokens: thinking.budget_tokens is missing");
    EXPECT_EQ(refusal(with(R"("thinking":{"type":"between_tools"})")),
              "thinking.type: thinking.type must be enabled, adaptive or disabled");
    EXPECT_EQ(refusal(with(R"("output_config":{"effort":"huge"})")),
              "output_config.effort: output_config.effort must be low, medium, high, xhigh or max");
}

TEST(Anthropic, ReadsTheFormat) {
    constexpr std::string_view kFormat = R"({"type":"json_schema","schema":{"type":"integer"}})";
    for (const char* name : {R"("output_config":{"format":)", R"("output_format":)"}) {
        const bool wrapped = std::string_view(name).ends_with("\"format\":");
        const auto request = with(name + std::string(kFormat) + (wrapped ? "}" : ""));
        ASSERT_TRUE(request.has_value()) << refusal(request);
        EXPECT_EQ(request->generation.json_schema, R"({"type":"integer"})");
    }
    EXPECT_EQ(refusal(with(R"("output_format":{"type":"json_object"})")),
              "output_format.type: output_format.type must be \"json_schema\"");
    EXPECT_EQ(refusal(with(R"("grammar":"root ::= \"a\"","output_format":)" + std::string(kFormat))),
              "output_format: output_format and another format or grammar exclude each other");
}

TEST(Anthropic, CountsMarksOfTheCache) {
    EXPECT_FALSE(with(R"("top_k":1)")->marks_cache);
    EXPECT_TRUE(with(R"("cache_control":{"type":"ephemeral","ttl":"1h"})")->marks_cache);
    const auto marked = [](int n) {
        std::string blocks;
        for (int i = 0; i < n; ++i) {
            blocks += R"({"type":"text","text":"a","cache_control":{"type":"ephemeral"}})";
            if (i + 1 < n) blocks += ",";
        }
        return with_messages(R"({"role":"user","content":[)" + blocks + "]}");
    };
    EXPECT_TRUE(marked(4)->marks_cache);
    EXPECT_EQ(
        refusal(marked(5)),
        "messages[0].content[4].cache_control: messages[0].content[4].cache_control may stand in at most 4 places");
    EXPECT_EQ(refusal(with(R"("cache_control":{"type":"ephemeral","ttl":"2h"})")),
              "cache_control.ttl: cache_control.ttl must be \"5m\" or \"1h\"");
    EXPECT_EQ(refusal(with(R"("cache_control":{"type":"forever"})")),
              "cache_control.type: cache_control.type must be \"ephemeral\"");
    EXPECT_EQ(refusal(with(R"("cache_control":{})")), "cache_control.type: cache_control.type is missing");
}

TEST(Anthropic, ForgetsThoughtsWhereTheContextIsManaged) {
    const auto with_edit = [](std::string_view edit) {
        return with_messages(R"({"role":"user","content":"a"},)"
                             R"({"role":"assistant","content":[{"type":"thinking","thinking":"1"}]},)"
                             R"({"role":"user","content":"b"},)"
                             R"({"role":"assistant","content":[{"type":"thinking","thinking":"2"}]},)"
                             R"({"role":"user","content":"c"})",
                             R"(,"context_management":{"edits":[)" + std::string(edit) + "]}");
    };
    const auto edited = [&](std::string_view edit) { return shown(chat_of(with_edit(edit))); };
    constexpr const char* kAll = "user: a; assistant: (1); user: b; assistant: (2); user: c";
    EXPECT_EQ(edited(R"({"type":"clear_thinking_20251015","keep":"all"})"), kAll);
    EXPECT_EQ(edited(R"({"type":"clear_thinking_20251015","keep":{"type":"thinking_turns","value":2}})"), kAll);
    EXPECT_EQ(edited(R"({"type":"clear_thinking_20251015"})"), "user: a; assistant:; user: b; assistant: (2); user: c");
    EXPECT_EQ(refusal(with_edit(R"({"type":"clear_tool_uses_20250919"})")),
              "context_management.edits[0].type: context_management.edits[0].type must be \"clear_thinking_20251015\"; "
              "others are not supported");
}

TEST(Anthropic, CountsTokensOfTheSameBody) {
    const auto request = parse_count(R"({"messages":[{"role":"user","content":"hi"}],"model":"m"})");
    ASSERT_TRUE(request.has_value()) << refusal(request);
    EXPECT_EQ(request->generation.task, Task::kRead);
}

TEST(AnthropicSignature, HoldsHiddenThoughts) {
    EXPECT_EQ(thoughts_in(signature_of("a \"b\"\n\xc3\xa9", true)), "a \"b\"\n\xc3\xa9");
    EXPECT_FALSE(signature_of("a", false).empty());
    EXPECT_EQ(thoughts_in(signature_of("a", false)), "");
    EXPECT_EQ(thoughts_in("sutazai:zz"), "");
    EXPECT_EQ(thoughts_in("sutazai:ff"), "\xef\xbf\xbd") << "what is no UTF-8 does not come in this way";
    EXPECT_EQ(thoughts_in("EqQBCgIYAhIkN..."), "") << "another's";
    EXPECT_EQ(shown(chat_of(with_messages(R"({"role":"user","content":"a"},{"role":"assistant","content":[{"type":)"
                                          R"("thinking","thinking":"","signature":")" +
                                          signature_of("hm", true) +
                                          R"("},{"type":"text","text":"b"}]},)"
                                          R"({"role":"user","content":"c"})"))),
              "user: a; assistant: (hm) b; user: c");
}

}  // namespace
}  // namespace sutazai::api::anthropic
