#include "text/answer_parser.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "text/testing/tagged_shape.h"

namespace sutazai {

// For what gtest says.
void PrintTo(const Delta& delta, std::ostream* out) {
    *out << "content [" << delta.content << "] reasoning [" << delta.reasoning << "]";
    for (const ToolCallDelta& call : delta.tool_calls) {
        *out << " call " << call.index << " " << call.id << " " << call.name << " [" << call.arguments << "]";
    }
}

}  // namespace sutazai

namespace sutazai::text {
namespace {

using testing::read_in_pieces;
using testing::TaggedShape;

const auto kShape = std::make_shared<const TaggedShape>();

std::vector<std::size_t> every_byte(std::string_view text) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < text.size(); ++i) cuts.push_back(i);
    return cuts;
}

Delta read(std::string_view text, bool whole = true) {
    Delta at_once = read_in_pieces(kShape, text, std::vector<std::size_t>(), whole);
    EXPECT_EQ(read_in_pieces(kShape, text, every_byte(text), whole), at_once) << text;
    return at_once;
}

TEST(AnswerParser, TellsThePartsApart) {
    EXPECT_EQ(read("Just text."), (Delta{"Just text."}));
    EXPECT_EQ(read("<think>Hm. \n</think>\n\nSo."), (Delta{"So.", "Hm."}));
    EXPECT_EQ(read("Look: <call>f{\"a\": \"}\"}</call> <call>g{}</call>"),
              (Delta{"Look: ", "", {{0, "id0", "f", R"({"a": "}"})"}, {1, "id1", "g", "{}"}}}));
}

TEST(AnswerParser, HoldsBackWhatMayBeginAMark) {
    AnswerParser parser(kShape, [] { return std::string("id"); });
    Delta out;
    const auto after = [&](std::string_view piece) {
        parser.push(piece, out);
        return std::exchange(out, {}).content;
    };
    EXPECT_EQ(after("one"), "one");
    EXPECT_EQ(after(" <"), "");
    EXPECT_EQ(after("cal"), "");
    EXPECT_EQ(after("m> "), " <calm>");
    EXPECT_EQ(after("two <call"), " two");
    EXPECT_EQ(after(">f"), "");
    EXPECT_FALSE(parser.has_calls());
    parser.push("{\"a\"", out);
    EXPECT_EQ(out.content, " ") << "what is before a call is known with it";
    EXPECT_EQ(out.tool_calls, (std::vector<ToolCallDelta>{{0, "id", "f", "{\"a\""}}));
    out = {};
    parser.push(": 1", out);
    EXPECT_EQ(out.tool_calls, (std::vector<ToolCallDelta>{{0, "", "", ": 1"}}));
}

TEST(AnswerParser, WhatIsNoCallIsSaid) {
    EXPECT_EQ(read("The <call> mark"), (Delta{"The <call> mark"}));
    EXPECT_EQ(read("The <call>mark"), (Delta{"The <call>mark"})) << "it ended there by itself";
    EXPECT_EQ(read("The <call>mark", false), (Delta{"The "})) << "it was cut off there";
    EXPECT_EQ(read("<think>So</think> <call>7"), (Delta{"<call>7", "So"}));
    EXPECT_EQ(read("A < b <"), (Delta{"A < b <"}));
    EXPECT_EQ(read("<call>f{}</call> and more"), (Delta{"", "", {{0, "id0", "f", "{}"}}}))
        << "there is no place for it";
}

TEST(AnswerParser, WhatIsCutOffStaysAsFarAsItCame) {
    EXPECT_EQ(read("<call>f{\"a\": \"x", false), (Delta{"", "", {{0, "id0", "f", "{\"a\": \"x"}}}));
    EXPECT_EQ(read("<think>And so", false), (Delta{"", "And so"}));
    EXPECT_EQ(read("<call>fu", false), Delta{});
}

TEST(AnswerParser, KnowsWhetherItThinks) {
    AnswerParser parser(kShape, [] { return std::string(); });
    Delta out;
    const std::pair<std::string_view, bool> steps[] = {
        {"<thi", false}, {"nk>", true}, {"a </th", true}, {"ink> b", false}, {"<think> c", false}};
    for (const auto& [piece, thinks] : steps) {
        parser.push(piece, out);
        EXPECT_EQ(parser.thinks(), thinks) << piece;
    }
}

TEST(AnswerParser, ReadsTheSameHoweverItIsCut) {
    std::mt19937 random(11);
    const std::vector<std::string> words = {"<think>", "</think>", "<call>", "</call>", "f", "{", "}",  "\"",   "\\",
                                            "[",       "]",        "a ",     " ",       "<", ">", "\n", "<cal", "{}"};
    for (int n = 0; n < 20'000; ++n) {
        std::string text;
        for (auto left = random() % 14; left > 0; --left) text += words[random() % words.size()];
        std::vector<std::size_t> cuts;
        for (std::size_t i = 1; i < text.size(); ++i) {
            if (random() % 3 == 0) cuts.push_back(i);
        }
        const bool whole = random() % 2 == 0;
        const Delta at_once = read_in_pieces(kShape, text, std::vector<std::size_t>(), whole);
        ASSERT_EQ(read_in_pieces(kShape, text, cuts, whole), at_once) << text << " whole " << whole;
        ASSERT_EQ(read_in_pieces(kShape, text, every_byte(text), whole), at_once) << text << " whole " << whole;
    }
}

}  // namespace
}  // namespace sutazai::text
