// Grammars: what is refused, and that a text keeps to its own whatever the model would rather say.
#include "llama/grammar.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "llama/testing/test_models.h"

namespace sutazai::llama {
namespace {

const Model& shared_model() {
    static const std::unique_ptr<Model> model = load_test_model("toy", 4096);
    return *model;
}

TEST(Grammar, NestingLeavesTextAlone) {
    EXPECT_EQ(nesting_of(R"(root ::= ("((" [(\](] (("a")))) # ((((((()"), 3);
    EXPECT_EQ(nesting_of("root ::= \"\\\"((\" ()"), 1);
    EXPECT_EQ(nesting_of("\"(((("), 0);
    EXPECT_EQ(nesting_of(""), 0);
}

TEST(Grammar, WhatCannotBeUsedIsRefused) {
    const auto refused = [](const std::string& gbnf) {
        const auto grammar = Grammar::from_gbnf(shared_model(), gbnf);
        if (grammar) return std::string("accepted");
        EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(grammar.error().field, "grammar");
        return grammar.error().message;
    };
    EXPECT_EQ(refused(R"(root ::= "a")"), "accepted");
    for (const char* gbnf : {"", "root", "other ::= \"a\"", "root ::= unknown", "root ::= root \"a\"",
                             "root ::= \"a\"{5000}", "root ::= [", "root ::= \"", "root ::= (", "\xff\xfe"}) {
        EXPECT_NE(refused(gbnf), "accepted") << gbnf;
    }
    EXPECT_NE(refused("root ::= " + std::string(65, '(') + "\"a\"" + std::string(65, ')')).find("64"),
              std::string::npos);
    EXPECT_NE(refused("root ::= \"" + std::string(300'000, 'a') + "\"").find("bytes"), std::string::npos);
}

TEST(Grammar, SchemasThatCannotBeUsedAreRefused) {
    for (const char* schema :
         {R"({"type": "nonsense"})", R"({"$ref": "#/nowhere"})", R"({"$ref": "https://example.org/schema.json"})",
          R"({"type": "string", "pattern": "^($"})"}) {
        const auto grammar = Grammar::from_json_schema(shared_model(), schema);
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
        (void)Grammar::from_json_schema(shared_model(), schema);
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
        const auto grammar = Grammar::from_json_schema(shared_model(), schema);
        n_taken += grammar ? 1 : 0;
        EXPECT_TRUE(grammar || !grammar.error().message.empty());
    }
    EXPECT_GT(n_taken, 50);
}

TEST(Grammar, TheMaskAllowsWhatAllowsSays) {
    const Model& model = shared_model();
    const auto grammar = Grammar::from_gbnf(model, R"(root ::= ("yes" | "no" | " the"+) "!"?)").value();
    const auto vocabulary = static_cast<std::size_t>(model.properties().vocabulary);
    std::string text;
    for (int step = 0; step < 3; ++step) {
        std::vector<float> logits(vocabulary, 1.0F);
        grammar->mask(logits);
        Token next = -1;
        int n_allowed = 0;
        for (std::size_t i = 0; i < vocabulary; ++i) {
            const auto token = static_cast<Token>(i);
            ASSERT_EQ(std::isfinite(logits[i]), grammar->allows(token)) << model.piece(token) << " after " << text;
            n_allowed += std::isfinite(logits[i]) ? 1 : 0;
            if (std::isfinite(logits[i]) && !model.ends_generation(token)) next = token;
        }
        ASSERT_GT(n_allowed, 0);
        ASSERT_LT(n_allowed, 20);
        ASSERT_TRUE(grammar->accept(next));
        text += model.piece(next);
    }
}

}  // namespace
}  // namespace sutazai::llama
