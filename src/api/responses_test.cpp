#include "api/responses.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>
#include <variant>

namespace sutazai::api::responses {
namespace {

namespace json = boost::json;

CreateRequest good(std::string_view body) {
    auto request = parse_create(body);
    EXPECT_TRUE(request) << body << ": " << (request ? "" : request.error().message);
    return request ? std::move(*request) : CreateRequest{};
}

std::string refusal(std::string_view body) {
    const auto request = parse_create(body);
    return request ? "taken" : request.error().message;
}

std::vector<ChatMessage> messages(std::string_view body) {
    const CreateRequest request = good(body);
    auto joined = join(request.instructions, {}, request.items);
    EXPECT_TRUE(joined) << (joined ? "" : joined.error().message);
    return joined ? std::move(*joined) : std::vector<ChatMessage>{};
}

const Chat& chat_of(const CreateRequest& request) {
    return std::get<Chat>(request.generation.prompt);
}

TEST(Responses, AStringIsTheUsersMessage) {
    EXPECT_EQ(messages(R"({"input":"Hi","instructions":"Be kind"})"),
              (std::vector<ChatMessage>{text_message(Role::kSystem, "Be kind"), text_message(Role::kUser, "Hi")}));
}

TEST(Responses, ItemsBecomeMessages) {
    const auto said = messages(R"({"input":[
        {"role":"developer","content":"Rules"},
        {"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
        {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]},
        {"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":null,
         "content":[{"type":"output_text","text":"Look","annotations":[],"logprobs":[]}]},
        {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"x\":1}","status":"completed"},
        {"type":"function_call","call_id":"c2","name":"g","arguments":""},
        {"type":"function_call_output","call_id":"c1","output":"one"},
        {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
        {"role":"assistant","content":"Done"},
        {"role":"assistant","content":[{"type":"refusal","refusal":"No more"}]}]})");
    EXPECT_EQ(said, (std::vector<ChatMessage>{
                        text_message(Role::kDeveloper, "Rules"),
                        {.role = Role::kUser, .content = {{"a"}, {"b"}}},
                        {.role = Role::kAssistant,
                         .content = {{"Look"}},
                         .reasoning = "Hm",
                         .tool_calls = {{"c1", "f", "{\"x\":1}"}, {"c2", "g", "{}"}}},
                        {.role = Role::kTool, .content = {{"one"}}, .tool_call_id = "c1"},
                        {.role = Role::kTool, .content = {{"two"}}, .tool_call_id = "c2"},
                        text_message(Role::kAssistant, "Done"),
                        text_message(Role::kAssistant, "No more"),
                    }));
}

TEST(Responses, ThoughtsComeBackInEachOfTheirForms) {
    for (
        const char* thought :
        {R"({"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"sutazai-plain:Hm"})",
         R"({"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":null})",
         R"({"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm"}]})"}) {
        const auto said = messages(std::string(R"({"input":[{"role":"user","content":"a"},)") + thought +
                                   R"(,{"role":"assistant","content":"b"}]})");
        ASSERT_EQ(said.size(), 2U) << thought;
        EXPECT_EQ(said[1].reasoning, "Hm");
        EXPECT_EQ(said[1].content, (std::vector<ContentPart>{{"b"}}));
    }
    EXPECT_EQ(refusal(R"({"input":[{"type":"reasoning","summary":[],"encrypted_content":"gAAAA"}]})"),
              "input[0].encrypted_content was not made by this server");
}

TEST(Responses, ItemsAreNamedAfterTheirResponse) {
    CreateRequest request = good(R"({"input":[{"role":"user","content":"a"},{"id":"mine","role":"user","content":"b"},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]})");
    name_items("resp_ab12", request.items);
    EXPECT_EQ(json::parse(input_json(request.items)), json::parse(R"([
        {"id":"msg_ab120000","type":"message","status":"completed","role":"user",
         "content":[{"type":"input_text","text":"a"}]},
        {"id":"mine","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"b"}]},
        {"id":"fc_ab120002","type":"function_call","status":"completed","arguments":"{}","call_id":"c","name":"f"}])"));
    EXPECT_EQ(response_of("fc_ab120002"), "resp_ab12");
    EXPECT_EQ(response_of("mine"), "");
    const auto stored = parse_stored(json::parse(input_json(request.items)).as_array());
    ASSERT_TRUE(stored);
    EXPECT_EQ(input_json(*stored), input_json(request.items));
    EXPECT_EQ((*stored)[0].message, request.items[0].message);
}

TEST(Responses, AReferenceIsKnownByItsForm) {
    const CreateRequest request = good(R"({"input":[{"type":"item_reference","id":"rs_1"},{"id":"msg_2"}]})");
    ASSERT_EQ(request.items.size(), 2U);
    for (const Item& item : request.items) EXPECT_EQ(item.kind, Item::Kind::kReference);
    EXPECT_EQ(request.items[1].id, "msg_2");
}

TEST(Responses, FieldsOfTheRequest) {
    const CreateRequest request = good(R"({"model":"m","input":"a","stream":true,"background":true,"store":true,
        "max_output_tokens":5,"temperature":0.5,"top_p":0.25,"top_k":3,"seed":4,"keep_alive":"5m","priority":2,
        "previous_response_id":"resp_1","truncation":"auto","top_logprobs":2,"user":"u","safety_identifier":"s",
        "prompt_cache_key":"k","service_tier":"flex","stop":["x"],"metadata":{"a":"b"},"max_tool_calls":null,
        "include":["message.output_text.logprobs","reasoning.encrypted_content","web_search_call.action.sources"],
        "reasoning":{"effort":"low","summary":"auto"},"stream_options":{"include_obfuscation":false},
        "text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}},
                "verbosity":"medium"},
        "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":null},
                 {"type":"function","name":"g"}],
        "tool_choice":{"type":"function","name":"g"},"parallel_tool_calls":false})");
    const GenerationRequest& generation = request.generation;
    const Chat& chat = chat_of(request);
    EXPECT_EQ(request.model, "m");
    EXPECT_TRUE(request.stream && request.background && request.carries_thoughts && request.store == true);
    EXPECT_EQ(generation.max_tokens, 5);
    EXPECT_TRUE(generation.given.max_tokens && generation.given.temperature && generation.truncate);
    EXPECT_EQ(generation.top_logprobs, 2);
    EXPECT_EQ(generation.json_schema, R"({"type":"object"})");
    EXPECT_EQ(generation.priority, 2);
    EXPECT_EQ(request.keep_alive, std::chrono::minutes(5));
    EXPECT_EQ(chat.reasoning.effort, "low");
    EXPECT_EQ(chat.tools.size(), 2U);
    EXPECT_EQ(chat.tools[0].description, "d");
    EXPECT_EQ(chat.tool_choice, ToolChoice::kRequired);
    EXPECT_EQ(chat.named_tool, "g");
    EXPECT_FALSE(chat.parallel_tool_calls);
    EXPECT_EQ(request.previous_response_id, "resp_1");
    EXPECT_EQ(
        json::serialize(request.echo),
        R"({"instructions":null,"max_output_tokens":5,"max_tool_calls":null,"metadata":{"a":"b"},)"
        R"("tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},)"
        R"({"type":"function","name":"g","strict":true}],"tool_choice":{"type":"function","name":"g"},)"
        R"("parallel_tool_calls":false,"previous_response_id":"resp_1",)"
        R"("reasoning":{"effort":"low","summary":"auto"},"prompt_cache_key":"k","safety_identifier":"s",)"
        R"("user":"u","service_tier":"default","temperature":5E-1,)"
        R"("text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}},)"
        R"("verbosity":"medium"},"top_logprobs":2,"top_p":2.5E-1,"truncation":"auto"})");
}

TEST(Responses, AllowedToolsAreThoseTheModelIsToldOf) {
    const CreateRequest request = good(R"({"input":"a","tools":[{"type":"function","name":"f"},
        {"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"required",
        "tools":[{"type":"function","name":"g"}]}})");
    ASSERT_EQ(chat_of(request).tools.size(), 1U);
    EXPECT_EQ(chat_of(request).tools[0].name, "g");
    EXPECT_EQ(chat_of(request).tool_choice, ToolChoice::kRequired);
    EXPECT_EQ(request.echo.at("tools").as_array().size(), 2U);
}

TEST(Responses, WhatIsNotThereIsRefusedByName) {
    const std::pair<const char*, const char*> cases[] = {
        // NOLINT(modernize-avoid-c-arrays)
        {R"({"input":"a","conversation":"c"})", "conversation is not supported"},
        {R"({"input":"a","prompt":{"id":"p"}})", "prompt is not supported"},
        {R"({"input":"a","max_tool_calls":3})", "max_tool_calls is not supported"},
        {R"({"input":"a","max_tokens":3})", "max_tokens is called max_output_tokens here"},
        {R"({"input":"a","messages":[]})", "messages is called input here"},
        {R"({"input":"a","response_format":{"type":"text"}})", "response_format is called text.format here"},
        {R"({"input":"a","n":2})", "n is not supported"},
        {R"({"input":"a","tools":[{"type":"web_search"}]})",
         R"(tools[0].type must be "function": tools that run on the server are not supported)"},
        {R"({"input":"a","tools":[{"type":"mcp","server_label":"x"}]})",
         R"(tools[0].type must be "function": tools that run on the server are not supported)"},
        {R"({"input":"a","tools":[{"type":"function","name":"f"},{"type":"function","name":"f"}]})",
         "tools[1].name is another tool's, too"},
        {R"({"input":"a","tools":[{"type":"function","function":{"name":"f"}}]})", "tools[0].name is missing"},
        {R"({"input":"a","tool_choice":"required"})", "tool_choice needs tools"},
        {R"({"input":"a","tool_choice":{"type":"function","name":"f"}})", "tool_choice.name must be one of the tools'"},
        {R"({"input":"a","text":{"verbosity":"low"}})", "text.verbosity is not supported; \"medium\" is what there is"},
        {R"({"input":"a","text":{"format":{"type":"json_schema"}}})", "text.format.schema is missing"},
        {R"({"input":"a","text":{"format":{"type":"grammar"}}})",
         "text.format.type must be text, json_object or json_schema"},
        {R"({"input":"a","truncation":"some"})", "truncation must be auto or disabled"},
        {R"({"input":"a","top_logprobs":2})", R"(top_logprobs needs include: ["message.output_text.logprobs"])"},
        {R"({"input":"a","include":["x"]})",
         "include[0] is not supported; message.output_text.logprobs and reasoning.encrypted_content are"},
        {R"({"input":"a","background":true,"store":false})", "background needs a response that is stored"},
        {R"({"input":"a","metadata":{"a":1}})",
         "metadata must hold names of at most 64 bytes, and strings of at most 512"},
        {R"({"input":"a","reasoning":{"effort":"huge"}})",
         "reasoning.effort must be none, minimal, low, medium, high, xhigh or max"},
        {R"({"input":3})", "input must be a string or a list of items (got a number)"},
        {R"({"input":[3]})", "input[0] must be an object (got a number)"},
        {R"({"input":[{"role":"tool","content":"a"}]})", "input[0].role must be user, assistant, system or developer"},
        {R"({"input":[{"role":"user"}]})", "input[0].content is missing"},
        {R"({"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]})",
         "input[0].content[0].image_url must be a data URL (\"data:image/png;base64,...\"): no images are fetched"},
        {R"({"input":[{"role":"user","content":[{"type":"input_audio"}]}]})",
         "input[0].content[0].type is not supported here; input_text is"},
        {R"({"input":[{"role":"user","content":[{"type":"input_text"}]}]})", "input[0].content[0].text is missing"},
        {R"({"input":[{"type":"function_call","name":"f"}]})", "input[0].call_id is missing"},
        {R"({"input":[{"type":"function_call_output","call_id":"c"}]})", "input[0].output is missing"},
        {R"({"input":[{"type":"web_search_call","id":"w"}]})",
         "input[0].type must be message, function_call, function_call_output, reasoning or item_reference; other items "
         "are not supported"},
    };
    for (const auto& [body, message] : cases) EXPECT_EQ(refusal(body), message) << body;
}

TEST(Responses, AConversationMustSaySomethingThatHangsTogether) {
    const CreateRequest nothing = good(R"({"model":"m"})");
    const auto joined = join("", {}, nothing.items);
    ASSERT_FALSE(joined);
    EXPECT_EQ(joined.error().field, "input");
    const CreateRequest orphan = good(R"({"input":[{"type":"function_call_output","call_id":"c","output":"x"}]})");
    const auto refused = join("", {}, orphan.items);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "input[0].call_id");
    const CreateRequest call =
        good(R"({"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]})");
    EXPECT_TRUE(join("", call.items, orphan.items));
}

TEST(Responses, ItemsAreListedInPages) {
    CreateRequest request = good(R"({"input":[{"role":"user","content":"a"},{"role":"user","content":"b"},
        {"role":"user","content":"c"}]})");
    name_items("resp_ab12", request.items);
    const auto page = [&](const ItemPage& asked) {
        return json::parse(encode_items(request.items, asked).value()).as_object();
    };
    const json::object all = page({});
    EXPECT_EQ(all.at("object"), "list");
    EXPECT_EQ(all.at("data").as_array().size(), 3U);
    EXPECT_EQ(all.at("first_id"), "msg_ab120002");
    EXPECT_EQ(all.at("last_id"), "msg_ab120000");
    EXPECT_EQ(all.at("has_more"), false);
    const json::object first = page({.limit = 2, .ascending = true});
    EXPECT_EQ(first.at("last_id"), "msg_ab120001");
    EXPECT_EQ(first.at("has_more"), true);
    const json::object rest = page({.limit = 2, .ascending = true, .after = "msg_ab120001"});
    EXPECT_EQ(rest.at("first_id"), "msg_ab120002");
    EXPECT_EQ(rest.at("has_more"), false);
    const auto beyond = encode_items(request.items, {.after = "msg_x"});
    ASSERT_FALSE(beyond);
    EXPECT_EQ(beyond.error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(page({.ascending = true, .after = "msg_ab120002"}).at("first_id").is_null());
}

}  // namespace
}  // namespace sutazai::api::responses
