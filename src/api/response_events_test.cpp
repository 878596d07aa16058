#include "api/response_events.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "api/response_items.h"

namespace sutazai::api::responses {
namespace {

namespace json = boost::json;

AnswerHead head() {
    return {.id = "resp_abc", .created_unix_s = 7, .model = "m", .echo = {{"temperature", 0.5}}};
}

GenerationUpdate said(std::string text) {
    GenerationUpdate update;
    update.delta.content = std::move(text);
    return update;
}

GenerationUpdate thought(std::string text) {
    GenerationUpdate update;
    update.delta.reasoning = std::move(text);
    return update;
}

GenerationUpdate called(ToolCallDelta call) {
    GenerationUpdate update;
    update.delta.tool_calls.push_back(std::move(call));
    return update;
}

GenerationUpdate ended(FinishReason reason = FinishReason::kStop) {
    GenerationUpdate update;
    update.finished =
        Finished{.reason = reason, .usage = {.prompt_tokens = 5, .completion_tokens = 3, .cached_tokens = 4}};
    return update;
}

/// The data of the events, which must be numbered one after the other and named as their lines say.
std::vector<json::object> data_of(std::string_view events) {
    std::vector<json::object> out;
    while (!events.empty()) {
        const std::size_t name_end = events.find("\ndata: ");
        const std::size_t end = events.find("\n\n");
        EXPECT_TRUE(events.starts_with("event: ") && name_end < end) << events;
        if (end == std::string_view::npos) break;
        const std::string_view data = events.substr(name_end + 7, end - name_end - 7);
        out.push_back(json::parse(json::string_view(data.data(), data.size())).as_object());
        EXPECT_EQ(out.back().at("type").as_string(), events.substr(7, name_end - 7));
        EXPECT_EQ(out.back().at("sequence_number").to_number<std::size_t>(), out.size() - 1);
        events.remove_prefix(end + 2);
    }
    return out;
}

std::vector<std::string> types_of(const std::vector<json::object>& events) {
    std::vector<std::string> out;
    for (const json::object& event : events) out.emplace_back(event.at("type").as_string());
    return out;
}

TEST(AnswerEvents, TextIsToldToTheByte) {
    AnswerEvents events(head());
    std::string out;
    events.start(out);
    events.update(out, said("Hi \"you\""));
    events.update(out, said("!\n"));
    events.update(out, ended());
    events.completed_unix_s = 9;
    events.stored = true;
    events.end(out);
    const std::string common = R"({"id":"resp_abc","object":"response","created_at":7,)";
    const std::string begun = common + R"("status":"in_progress","background":false,"completed_at":null,"error":null,)"
                                       R"("incomplete_details":null,"temperature":0.5,"model":"m","output":[],)"
                                       R"("store":false,"usage":null}})";
    const std::string place = R"("item_id":"msg_abc8000","output_index":0,"content_index":0,)";
    const std::string part = R"({"type":"output_text","annotations":[],"logprobs":[],"text":"Hi \"you\"!\n"})";
    const std::string item =
        R"({"id":"msg_abc8000","type":"message","status":"completed","content":[)" + part + R"(],"role":"assistant"})";
    const auto line = [](const std::string& type, int number) {
        return "event: " + type + "\ndata: {\"type\":\"" + type + "\",\"sequence_number\":" + std::to_string(number) +
               ",";
    };
    EXPECT_EQ(out, line("response.created", 0) + "\"response\":" + begun + "\n\n" +                               //
                       line("response.in_progress", 1) + "\"response\":" + begun + "\n\n" +                       //
                       line("response.output_item.added", 2) +                                                    //
                       R"("output_index":0,"item":{"id":"msg_abc8000","type":"message","status":"in_progress",)"  //
                       R"("content":[],"role":"assistant"}})"
                       "\n\n" +  //
                       line("response.content_part.added", 3) +
                       place +  //
                       R"("part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}})"
                       "\n\n" +  //
                       line("response.output_text.delta", 4) +
                       place +
                       R"("delta":"Hi \"you\"","logprobs":[]})"
                       "\n\n" +
                       line("response.output_text.delta", 5) + place +
                       R"("delta":"!\n","logprobs":[]})"
                       "\n\n" +
                       line("response.output_text.done", 6) + place +
                       R"("text":"Hi \"you\"!\n","logprobs":[]})"
                       "\n\n" +
                       line("response.content_part.done", 7) + place + "\"part\":" + part + "}\n\n" +           //
                       line("response.output_item.done", 8) + R"("output_index":0,"item":)" + item + "}\n\n" +  //
                       line("response.completed", 9) + "\"response\":" + common +                               //
                       R"("status":"completed","background":false,"completed_at":9,"error":null,)"
                       R"("incomplete_details":null,"temperature":0.5,"model":"m","output":[)" +
                       item +
                       R"(],"store":true,"usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":4,)"
                       R"("cache_write_tokens":1},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},)"
                       R"("total_tokens":8}}})"
                       "\n\n");
    EXPECT_EQ(events_from(out, 9), line("response.completed", 9) + "\"response\":" + events.object() + "}\n\n");
    EXPECT_EQ(events_from(out, 10), "");
    EXPECT_EQ(events_from(out, 0), out);
}

TEST(AnswerEvents, ThoughtsWordsAndCallsAreItemsOfTheirOwn) {
    AnswerHead with_thoughts = head();
    with_thoughts.carries_thoughts = true;
    AnswerEvents events(std::move(with_thoughts));
    std::string out;
    events.start(out);
    events.update(out, thought("Hm"));
    events.update(out, thought("."));
    events.update(out, said("Look:"));
    events.update(out, called({.index = 0, .id = "c1", .name = "f"}));
    events.update(out, called({.index = 0, .arguments = "{\"a\":"}));
    events.update(out, called({.index = 0, .arguments = "1}"}));
    events.update(out, called({.index = 1, .id = "c2", .name = "g", .arguments = "{}"}));
    events.update(out, ended(FinishReason::kToolCalls));
    events.end(out);
    const auto data = data_of(out);
    EXPECT_EQ(types_of(data), (std::vector<std::string>{"response.created",
                                                        "response.in_progress",  //
                                                        "response.output_item.added",
                                                        "response.content_part.added",  //
                                                        "response.reasoning_text.delta",
                                                        "response.reasoning_text.delta",  //
                                                        "response.reasoning_text.done",
                                                        "response.content_part.done",  //
                                                        "response.output_item.done",   //
                                                        "response.output_item.added",
                                                        "response.content_part.added",  //
                                                        "response.output_text.delta",
                                                        "response.output_text.done",  //
                                                        "response.content_part.done",
                                                        "response.output_item.done",  //
                                                        "response.output_item.added",
                                                        "response.function_call_arguments.delta",  //
                                                        "response.function_call_arguments.delta",
                                                        "response.function_call_arguments.done",  //
                                                        "response.output_item.done",              //
                                                        "response.output_item.added",
                                                        "response.function_call_arguments.delta",  //
                                                        "response.function_call_arguments.done",
                                                        "response.output_item.done",  //
                                                        "response.completed"}));
    const json::array& output = data.back().at("response").at("output").as_array();
    EXPECT_EQ(json::value(output), json::parse(R"([
        {"id":"rs_abc8000","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}],
         "encrypted_content":"sutazai-plain:Hm.","status":"completed"},
        {"id":"msg_abc8001","type":"message","status":"completed","role":"assistant",
         "content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Look:"}]},
        {"id":"fc_abc8002","type":"function_call","status":"completed","arguments":"{\"a\":1}","call_id":"c1","name":"f"},
        {"id":"fc_abc8003","type":"function_call","status":"completed","arguments":"{}","call_id":"c2","name":"g"}])"));

    AnswerHead again = head();
    again.carries_thoughts = true;
    AnswerEvents whole(std::move(again));
    Choice choice;
    choice.answer = {
        .content = "Look:", .reasoning = "Hm.", .tool_calls = {{0, "c1", "f", "{\"a\":1}"}, {1, "c2", "g", "{}"}}};
    choice.finished = *ended(FinishReason::kToolCalls).finished;
    whole.set(choice);
    EXPECT_EQ(whole.object(), events.object());

    // What an answer holds is taken as what was said before.
    const auto items = parse_stored(output);
    ASSERT_TRUE(items);
    const auto messages = join("", *items, {});
    ASSERT_TRUE(messages);
    EXPECT_EQ(*messages, (std::vector<ChatMessage>{{.role = Role::kAssistant,
                                                    .content = {{"Look:"}},
                                                    .reasoning = "Hm.",
                                                    .tool_calls = {{"c1", "f", "{\"a\":1}"}, {"c2", "g", "{}"}}}}));
}

TEST(AnswerEvents, EachEndSaysWhatHappened) {
    {
        AnswerEvents events(head());
        std::string out;
        events.start(out);
        events.update(out, said("So"));
        events.update(out, ended(FinishReason::kLength));
        events.end(out);
        const json::object last = data_of(out).back();
        EXPECT_EQ(last.at("type"), "response.incomplete");
        EXPECT_EQ(last.at("response").at("status"), "incomplete");
        EXPECT_EQ(last.at("response").at("incomplete_details").at("reason"), "max_output_tokens");
        EXPECT_EQ(last.at("response").at("output").at(0).at("status"), "incomplete");
    }
    {
        AnswerEvents events(head());
        std::string out;
        events.start(out);
        events.update(out, said("So"));
        GenerationUpdate died;
        died.error = Error{ErrorCode::kEngineDied, "The engine ended.", "model"};
        events.update(out, died);
        events.end(out);
        const auto data = data_of(out);
        const json::object& error = data.at(data.size() - 2);
        EXPECT_EQ(error.at("type"), "error");
        EXPECT_EQ(error.at("code"), "engine_died");
        EXPECT_EQ(error.at("param"), "model");
        EXPECT_EQ(data.back().at("type"), "response.failed");
        EXPECT_EQ(data.back().at("response").at("error"),
                  json::parse(R"({"code":"server_error","message":"The engine ended."})"));
    }
    {
        AnswerEvents events(head());
        std::string out;
        events.start(out);
        events.update(out, thought("So"));
        events.cut(out, Status::kCancelled);
        events.end(out);
        const json::object last = data_of(out).back();
        EXPECT_EQ(last.at("type"), "response.failed");
        EXPECT_EQ(last.at("response").at("status"), "cancelled");
        EXPECT_TRUE(last.at("response").at("error").is_null());
    }
    {
        AnswerEvents events(head());
        std::string out;
        events.start(out);
        events.update(out, ended());
        events.end(out);
        const auto data = data_of(out);
        EXPECT_EQ(data.back().at("response").at("output").at(0).at("content").at(0).at("text"), "");
    }
    {
        AnswerEvents events(head());
        std::string out;
        events.update(out, called({.index = 0, .id = "a", .name = "f"}));
        events.update(out, called({.index = 1, .id = "b", .name = "f"}));
        events.update(out, called({.index = 0, .arguments = "{}"}));
        events.update(out, ended(FinishReason::kToolCalls));
        EXPECT_EQ(events.status(), Status::kFailed);
    }
}

TEST(AnswerEvents, ABackgroundAnswerIsQueuedFirst) {
    AnswerHead behind = head();
    behind.background = true;
    AnswerEvents events(std::move(behind));
    std::string out;
    events.start(out);
    const auto data = data_of(out);
    EXPECT_EQ(types_of(data),
              (std::vector<std::string>{"response.created", "response.queued", "response.in_progress"}));
    EXPECT_EQ(data.at(1).at("response").at("status"), "queued");
    EXPECT_EQ(data.at(2).at("response").at("status"), "in_progress");
}

TEST(AnswerEvents, ScoresAreWithTheirDeltasAndTheWholeText) {
    AnswerEvents events(head());
    std::string out;
    events.start(out);
    GenerationUpdate one = said("a");
    one.scores.push_back({{"a", -0.5F}, {{"a", -0.5F}}});
    events.update(out, one);
    GenerationUpdate two = said("b");
    two.scores.push_back({{"b", -1.0F}, {}});
    events.update(out, two);
    events.update(out, ended());
    events.end(out);
    const auto data = data_of(out);
    EXPECT_EQ(data.at(4).at("logprobs"), json::parse(R"([{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[
        {"token":"a","logprob":-0.5,"bytes":[97]}]}])"));
    const json::value& part = data.back().at("response").at("output").at(0).at("content").at(0);
    ASSERT_EQ(part.at("logprobs").as_array().size(), 2U);
    EXPECT_EQ(part.at("logprobs").at(1).at("token"), "b");
}

}  // namespace
}  // namespace sutazai::api::responses
