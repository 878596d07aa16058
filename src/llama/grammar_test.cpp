// Grammars: what is refused, and that a text keeps to its own whatever the model would rather say.
#include "llama/grammar.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "llama/testing/test_models.h"
#include "llama/token_source.h"

namespace sutazai::llama {
namespace {

const Model& shared_model() {
    static const std::unique_ptr<Model> model = load_test_model("toy", 4096);
    return *model;
}

TEST(Grammar, WhatCannotBeUsedIsRefused) {
    const auto refused = [](const std::string& gbnf) {
        const auto grammar = grammar_of(shared_model(), {false, gbnf});
        if (grammar) return std::string("accepted");
        EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(grammar.error().field, "grammar");
        return grammar.error().message;
    };
    EXPECT_EQ(refused(R"(root ::= "a")"), "accepted");
    for (const char* gbnf : {"", "root", "other ::= \"a\"", "root ::= unknown", "root ::= root \"a\"", "root ::= [",
                             "root ::= \"", "root ::= (", "\xff\xfe"}) {
        EXPECT_NE(refused(gbnf), "accepted") << gbnf;
    }
    EXPECT_EQ(refused("root ::= <|nothing|>"),
              "grammar does not parse in line 1: <|nothing|> is no token of this model");
}

TEST(Grammar, SchemasThatCannotBeUsedAreRefused) {
    for (const char* schema :
         {R"({"type": "nonsense"})", R"({"$ref": "#/nowhere"})", R"({"$ref": "https://example.org/schema.json"})",
          R"({"type": "string", "pattern": "^($"})"}) {
        const auto grammar = grammar_of(shared_model(), {true, schema});
        ASSERT_FALSE(grammar.has_value()) << schema;
        EXPECT_EQ(grammar.error().field, "response_format");
    }
}

/// None of these may bring the engine down, however they end.
TEST(Grammar, SchemasThatReferToThemselvesEnd) {
    for (const char* schema :
         {R"({"$ref": "#"})", R"({"allOf": [{"$ref": "#"}]})", R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})",
          R"({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})",
          R"({"type": "object", "properties": {"next": {"$ref": "#"}}})",
          R"({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"})",
          R"({"type": "array", "items": {"$ref": "#"}, "minItems": 1})"}) {
        (void)grammar_of(shared_model(), {true, schema});
    }
}

TEST(Grammar, RandomDamageToASchemaIsAGrammarOrAnError) {
    const std::string good =
        R"({"type":"object","properties":{"a":{"type":"integer","minimum":3,"maximum":77},"b":{"enum":["x","y",null]},)"
        R"("c":{"type":"array","items":{"$ref":"#/$defs/d"},"minItems":1,"maxItems":3}},"required":["a"],)"
        R"("$defs":{"d":{"type":"string","pattern":"^[a-c]{2,4}$"}},"additionalProperties":false})";
    const std::array<const char*, 10> pieces{"null", "-1",    "{}",       "[]",         "\"\"",
                                             "true", "\"a\"", "99999999", "{\"a\":{}}", "\"#/$defs/d\""};
    std::mt19937 random(5);
    int n_taken = 0;
    for (int i = 0; i < 2000; ++i) {
        std::string schema = good;
        for (unsigned n = 1 + random() % 2; n > 0; --n) {
            const std::size_t colon = schema.find(':', random() % schema.size());
            if (colon == std::string::npos) continue;
            const std::size_t end = schema.find_first_of(",}]", colon);
            schema.replace(colon + 1, end - colon - 1, pieces[random() % pieces.size()]);
        }
        const auto grammar = grammar_of(shared_model(), {true, schema});
        n_taken += grammar ? 1 : 0;
        EXPECT_TRUE(grammar || !grammar.error().message.empty());
    }
    EXPECT_GT(n_taken, 50);
}

using Answer = Grammar::Answer;

TEST(Grammar, TheMaskAllowsWhatAllowsSays) {
    const Model& model = shared_model();
    const auto grammar = grammar_of(model, {false, R"(root ::= ("yes" | "no" | " the"+) "!"?)"}).value();
    const auto vocabulary = static_cast<std::size_t>(model.properties().vocabulary);
    grammar::Work work{kWorkPerToken};
    std::string text;
    for (int step = 0; step < 3; ++step) {
        std::vector<float> logits(vocabulary, 1.0F);
        ASSERT_TRUE(grammar->mask(logits, work));
        Token next = -1;
        int n_allowed = 0;
        for (std::size_t i = 0; i < vocabulary; ++i) {
            const auto token = static_cast<Token>(i);
            ASSERT_EQ(std::isfinite(logits[i]), grammar->allows(token, work) == Answer::kYes)
                << model.piece(token) << " after " << text;
            n_allowed += std::isfinite(logits[i]) ? 1 : 0;
            if (std::isfinite(logits[i]) && !model.ends_generation(token)) next = token;
        }
        ASSERT_GT(n_allowed, 0);
        ASSERT_LT(n_allowed, 20);
        ASSERT_EQ(grammar->accept(next, work), Answer::kYes);
        text += model.piece(next);
    }
}

TEST(Grammar, ControlTokensComeOnlyByName) {
    const Model& model = shared_model();
    const auto named = [&](const std::string& name) {
        for (Token token = 0; token < model.properties().vocabulary; ++token) {
            if (model.piece(token) == name) return token;
        }
        return Token{-1};
    };
    grammar::Work work{kWorkPerToken};
    const auto by_text = grammar_of(model, {false, R"(root ::= "<|im_start|>" .*)"}).value();
    EXPECT_EQ(by_text->allows(named("<|im_start|>"), work), Answer::kNo);
    const auto by_name = grammar_of(model, {false, R"(root ::= <|im_start|> "a")"}).value();
    ASSERT_EQ(by_name->accept(named("<|im_start|>"), work), Answer::kYes);
    EXPECT_EQ(by_name->allows(named("a"), work), Answer::kYes);
    EXPECT_EQ(by_name->allows(named("<|im_end|>"), work), Answer::kNo) << "the end of generation";
    ASSERT_EQ(by_name->accept(named("a"), work), Answer::kYes);
    EXPECT_EQ(by_name->allows(named("<|im_end|>"), work), Answer::kYes);
}

/// However often the work runs out, the same tokens are drawn.
TEST(Grammar, DrawsTheSameInSmallPieces) {
    const Model& model = shared_model();
    const auto vocabulary = static_cast<std::size_t>(model.properties().vocabulary);
    const auto draw = [&](std::int64_t piece, int& n_pieces) {
        GenerationRequest request;
        request.sampling.temperature = 1.5F;
        request.sampling.repeat_penalty = 1.3F;
        request.sampling.seed = 5;
        TokenSource source(model, request, grammar_of(model, {false, "root ::= [a-z ,.]{100,300}"}).value());
        std::mt19937 random(9);
        std::vector<Token> tokens;
        for (int i = 0; i < 40; ++i) {
            std::vector<float> logits(vocabulary);
            for (float& logit : logits) logit = static_cast<float>(random() % 1000) / 100.0F;
            Token token = TokenSource::kTooDear;
            while (token == TokenSource::kTooDear) {
                grammar::Work work{piece};
                token = source.draw(logits, work);
                ++n_pieces;
            }
            tokens.push_back(token);
            if (!source.accept(token)) break;
            if (model.ends_generation(token)) break;
        }
        return tokens;
    };
    int n_whole = 0;
    int n_small = 0;
    const std::vector<Token> whole = draw(kWorkPerToken, n_whole);
    EXPECT_EQ(draw(150, n_small), whole);
    EXPECT_GT(whole.size(), 5U);
    EXPECT_GT(n_small, n_whole);
}

}  // namespace
}  // namespace sutazai::llama
