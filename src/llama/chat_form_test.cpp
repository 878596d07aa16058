#include "llama/chat_form.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "synth/scripted.h"
#include "text/answer_parser.h"

namespace sutazai::llama {
namespace {

const std::vector<Tool> kTools = {
    {.name = "weather",
     .description = "Tells the weather",
     .parameters =
         R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]})"},
    {.name = "note", .parameters = R"({"type":"object","properties":{"text":{"type":"string"}},"required":["text"]})"}};

struct Case {
    const char* dialect;
    const char* text;
    bool whole;
    Delta expected;
};

Delta read(const ChatForms& /*forms*/, const std::shared_ptr<const ChatForm>& form, std::string_view text, bool whole,
           const std::vector<std::size_t>& cuts) {
    int n = 0;
    text::AnswerParser parser(form, [&] { return "id" + std::to_string(n++); });
    Delta all;
    std::size_t begin = 0;
    for (const std::size_t cut : cuts) {
        parser.push(text.substr(begin, cut - begin), all);
        begin = cut;
    }
    parser.push(text.substr(begin), all);
    parser.finish(whole, all);
    return all;
}

void PrintTo(const Delta& delta) {
    ADD_FAILURE() << "content [" << delta.content << "] reasoning [" << delta.reasoning << "]";
    for (const ToolCallDelta& call : delta.tool_calls) {
        ADD_FAILURE() << call.index << " " << call.id << " " << call.name << " [" << call.arguments << "]";
    }
}

const std::vector<Case> kCases = {
    {"chatml", "Hello there.", true, {.content = "Hello there."}},
    {"chatml",
     "Let me see. <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome }\\\" \", \"days\": "
     "2}}\n</tool_call>",
     true,
     {.content = "Let me see. ", .tool_calls = {{0, "id0", "weather", "{\"city\": \"Rome }\\\" \", \"days\": 2}"}}}},
    {"chatml",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n<tool_call>\n{\"name\": "
     "\"note\", \"arguments\": {\"text\": \"x\"}}\n</tool_call>",
     true,
     {.tool_calls = {{0, "id0", "weather", R"({"city": "Rome"})"}, {1, "id1", "note", R"({"text": "x"})"}}}},
    {"chatml", "The tag <tool_call> begins one.", true, {.content = "The tag <tool_call> begins one."}},
    {"chatml", "a < b, <tool", true, {.content = "a < b, <tool"}},
    {"chatml", "a < b, <tool", false, {.content = "a < b, "}},
    {"chatml", "<tool_call>\n{\"name\": \"wea", false, {}},
    {"chatml",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ro",
     false,
     {.tool_calls = {{0, "id0", "weather", R"({"city": "Ro)"}}}},
    {"chatml",
     "<tool_call>\n{\"name\": \"none\", \"arguments\": {}}",
     true,
     {.content = "<tool_call>\n{\"name\": \"none\", \"arguments\": {}}"}},
    {"think", "<think>\nHm, <b> so.\n</think>\n\nIt is so.\n\nYes.", true, {"It is so.\n\nYes.", "Hm, <b> so."}},
    {"think",
     "<think>\nHm\n</think>\n\nLook:\n<tool_call>\n{\"name\": \"note\", \"arguments\": {\"text\": "
     "\"x\"}}\n</tool_call>",
     true,
     {"Look:\n", "Hm", {{0, "id0", "note", R"({"text": "x"})"}}}},
    {"think", "<think>\nHm, so", false, {"", "Hm, so"}},
    {"think", "No thought <here>.", true, {"No thought <here>."}},
    {"llama3",
     R"({"name": "weather", "parameters": {"city": "Rome"}})",
     true,
     {.tool_calls = {{0, "id0", "weather", R"({"city": "Rome"})"}}}},
    {"llama3", "Hi {you} and {all}.", true, {.content = "Hi {you} and {all}."}},
    {"mistral",
     R"(See[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}, "id": "123456789"}, {"name": "note", "arguments": {"text": "y"}, "id": "123456780"}])",
     true,
     {"See", "", {{0, "id0", "weather", R"({"city": "Rome"})"}, {1, "id1", "note", R"({"text": "y"})"}}}},
    {"gpt-oss",
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.weather "
     "<|constrain|>json<|message|>{\"city\": \"Rome\"}",
     true,
     {"", "Hm.", {{0, "id0", "weather", R"({"city": "Rome"})"}}}},
    {"gpt-oss",
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes, so.",
     true,
     {"Yes, so.", "Hm."}}};

TEST(ChatForm, ReadsAnswersHoweverTheyAreCut) {
    std::mt19937 random(7);
    for (const Case& one : kCases) {
        ChatForms forms(synth::scripted_template(one.dialect), "<s>", "</s>");
        ASSERT_TRUE(forms.knows_tools()) << one.dialect;
        const auto form = forms.of({.tools = kTools}, "");
        ASSERT_TRUE(form && *form != nullptr) << one.dialect;
        const std::string_view text = one.text;
        std::vector<std::vector<std::size_t>> ways = {{}};
        for (std::size_t i = 1; i < text.size(); ++i) {
            ways.push_back({i});
        }
        ways.emplace_back();
        for (std::size_t i = 1; i < text.size(); ++i) ways.back().push_back(i);
        for (int n = 0; n < 30; ++n) {
            ways.emplace_back();
            for (std::size_t i = 1; i < text.size(); ++i) {
                if (random() % 4 == 0) ways.back().push_back(i);
            }
        }
        for (const auto& cuts : ways) {
            const Delta all = read(forms, *form, text, one.whole, cuts);
            if (all == one.expected) continue;
            PrintTo(all);
            FAIL() << one.dialect << " " << text << " in " << cuts.size() + 1 << " pieces, first cut "
                   << (cuts.empty() ? 0 : cuts.front());
        }
    }
}

TEST(ChatForm, IsMadeOnceForTheSameTools) {
    ChatForms forms(synth::scripted_template("chatml"), "<s>", "</s>");
    const auto one = forms.of({.messages = {text_message(Role::kUser, "a")}, .tools = kTools}, "");
    const auto same = forms.of({.messages = {text_message(Role::kUser, "b")}, .tools = kTools}, "");
    ASSERT_TRUE(one && same);
    EXPECT_EQ(*one, *same);
    EXPECT_EQ(forms.n_made(), 1U);
    EXPECT_NE(*forms.of({.tools = kTools, .tool_choice = ToolChoice::kRequired}, ""), *one);
    EXPECT_NE(*forms.of({.tools = kTools}, "another tenant"), *one);
    EXPECT_EQ(forms.n_made(), 3U);
}

TEST(ChatForm, KnowsWhatATemplateCanDo) {
    const auto can = [](const std::string& source) {
        const ChatForms forms(source, "<s>", "</s>");
        return std::pair(forms.knows_tools(), forms.thinks());
    };
    EXPECT_EQ(can(synth::scripted_template("chatml")), std::pair(true, false));
    EXPECT_EQ(can(synth::scripted_template("think")), std::pair(true, true));
    EXPECT_EQ(can(synth::scripted_template("llama3")), std::pair(true, false));
    EXPECT_EQ(can(synth::scripted_template("mistral")), std::pair(true, false));
    EXPECT_EQ(can(synth::scripted_template("gpt-oss")), std::pair(true, true));
    EXPECT_EQ(can("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"), std::pair(false, false));
}

TEST(ChatForm, ReparsesLittle) {
    ChatForms forms(synth::scripted_template("think"), "<s>", "</s>");
    const auto form = forms.of({.tools = kTools}, "");
    text::AnswerParser parser(*form, [] { return std::string("id"); });
    Delta all;
    std::string arguments = "{\"text\": \"";
    std::string text = "<think>\n";
    for (int i = 0; i < 2000; ++i) text += "so and so, ";
    text += "\n</think>\n\nA < B. ";
    for (int i = 0; i < 2000; ++i) text += "1 < 2 ";
    for (int i = 0; i < 4000; ++i) arguments += " {word}";
    text += "<tool_call>\n{\"name\": \"note\", \"arguments\": " + (arguments += "\"}") + "}\n</tool_call>";
    for (std::size_t i = 0; i < text.size(); i += 5) parser.push(std::string_view(text).substr(i, 5), all);
    parser.finish(true, all);
    ASSERT_EQ(all.tool_calls.size(), 1U);
    EXPECT_EQ(all.tool_calls[0].arguments, arguments);
    EXPECT_LT(parser.n_parses(), 60U);
}

}  // namespace
}  // namespace sutazai::llama
