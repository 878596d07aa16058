// Schemas: what each keyword lets a text be, and what is refused. The official suite (schema_suite_test.cpp) judges the
// whole; here is what it has no case for, and what was once wrong.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <initializer_list>
#include <random>

#include "grammar/matcher.h"
#include "grammar/number_range.h"
#include "grammar/pattern.h"

namespace sutazai::grammar {
namespace {

constexpr std::int64_t kPlenty = 100'000'000;

Result<Rules> read(std::string_view schema) {
    Work work{kPlenty};
    return read_json_schema(boost::json::parse(schema), work);
}

std::string refusal(std::string_view schema) {
    const auto rules = read(schema);
    return rules ? std::string() : rules.error().message;
}

/// Null when no text meets the rules.
std::unique_ptr<Matcher> matcher_of(const Rules& rules) {
    Work work{kPlenty};
    auto automaton = Automaton::of(rules, work);
    if (!automaton) return nullptr;
    return std::make_unique<Matcher>(std::make_shared<const Automaton>(std::move(*automaton)));
}

bool takes(Matcher* matcher, std::string_view text) {
    if (matcher == nullptr) return false;
    Work work{10'000'000};
    const Matcher::Position at = matcher->walk(matcher->start(work), text, work);
    EXPECT_NE(at, Matcher::kTooDear);
    return at >= 0 && matcher->may_end(at);
}

bool takes(const Rules& rules, std::string_view text) {
    return takes(matcher_of(rules).get(), text);
}

void expect(std::string_view schema, std::initializer_list<std::string_view> taken,
            std::initializer_list<std::string_view> refused) {
    const auto rules = read(schema);
    ASSERT_TRUE(rules) << schema << ": " << rules.error().message;
    const auto matcher = matcher_of(*rules);
    for (const auto text : taken) EXPECT_TRUE(takes(matcher.get(), text)) << schema << " and " << text;
    for (const auto text : refused) EXPECT_FALSE(takes(matcher.get(), text)) << schema << " and " << text;
}

TEST(JsonSchema, NamesDoNotMixRulesUp) {
    expect(R"({"$defs": {"订单": {"type": "integer"}, "客户": {"type": "string"}}, "type": "object",
               "properties": {"a": {"$ref": "#/$defs/订单"}, "b": {"$ref": "#/$defs/客户"}}, "required": ["a", "b"]})",
           {R"({"a": 1, "b": "x"})"}, {R"({"a": "x", "b": "x"})", R"({"a": 1, "b": 1})"});
    expect(R"({"type": "object", "properties": {"date_time": {"type": "string", "maxLength": 3},
               "created": {"type": "string", "format": "date-time"}, "date-time": {"type": "null"},
               "integral_part": {"type": "boolean"}, "decimal_part": {"type": "null"}, "x": {"type": "number"},
               "root": {"const": 1}, "value": {"const": 2}, "string": {"const": 3}},
               "additionalProperties": false})",
           {R"({"date_time":"now","created":"2026-01-02T03:04:05Z","date-time":null,"integral_part":true,"x":-1.5e3})",
            R"({"root": 1, "value": 2, "string": 3})"},
           {R"({"created":"now"})", R"({"created":""now""})", R"({"x":true})", R"({"x":null})"});
    expect(R"({"type": "object", "properties": {"": {"type": "integer"}, "a": {"type": "null"}}, "required": [""],
               "additionalProperties": false})",
           {R"({"":1})", R"({"": 1, "a": null})"}, {"{}", R"({"a":null})", R"({"":null})"});
    expect(R"({"type": "object", "properties": {"\\d": {"type": "integer"}, "\"": {"type": "null"}, "\n": {"const": 1}},
               "additionalProperties": {"type": "boolean"}})",
           {R"({"\\d":1,"\"":null,"\n":1,"d":true,"\\":false,"\\\\":true,"":true})"},
           {R"({"\d":1})", R"({"\\d":true})", R"({"\u005cd":true})", R"({"\n":true})"});
}

TEST(JsonSchema, NamesOfMembersDoNotComeInDisguise) {
    expect(
        R"({"properties": {"ab": {"const": 1}, "abc": {"const": 2}, "é": {"const": 3}},
               "additionalProperties": {"type": "string"}, "type": "object"})",
        {R"({"ab":1,"abc":2,"é":3,"a":"","abcd":"","b":"","":"","ab ":"","è":""})", R"({"abc": 2, "x": "y"})"},
        {R"({"ab":""})", R"({"a\u0062":""})", R"({"\u0061b":""})", R"({"\u00e9":""})", R"({"x":1})", R"({"abc":1})"});
}

TEST(JsonSchema, BoundsAreExactClampedOrRefusedAndNeverWrap) {
    expect(R"({"type": "integer", "minimum": 0, "maximum": 18446744073709551615})",
           {"0", "7", "18446744073709551615", "9223372036854775808"},
           {"-1", "18446744073709551616", "00", "-0", "1.0"});
    expect(R"({"type": "integer", "maximum": 1e300})", {"-5", "99999999999999999999"}, {"1e5"});
    expect(R"({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807})",
           {"-9223372036854775808", "9223372036854775807", "0"}, {"-9223372036854775809", "9223372036854775808"});
    expect(R"({"type": "integer", "exclusiveMinimum": -3.5, "exclusiveMaximum": 2})", {"-3", "0", "1"}, {"-4", "2"});
    expect(R"({"type": "integer", "minimum": 0.5})", {"1", "10"}, {"0", "-1"});
    expect(R"({"type": "number", "minimum": -1.25, "exclusiveMaximum": 0.5})",
           {"-1.25", "-1.2", "-1", "-0.001", "0", "0.0", "0.4999", "-1.250"},
           {"-1.26", "-1.2500001", "0.5", "0.50", "0.6", "1", "-2", "-0", "1e-3"});
    expect(R"({"type": "string", "maxLength": 4294967296})", {R"("")", R"("abc")"}, {});
    expect(R"({"type": "string", "maxLength": 2147483648, "minLength": 1})", {R"("abc")"}, {R"("")"});
    expect(R"({"type": "string", "maxLength": 9007199254740991})", {R"("abc")"}, {});
    expect(R"({"type": "string", "maxLength": 18446744073709551615})", {R"("abc")"}, {});
}

TEST(JsonSchema, LengthsCountCharacters) {
    expect(
        R"({"type": "string", "minLength": 2.0, "maxLength": 10.0})",
        {R"("ab")", R"("0123456789")", R"("日本")", R"("\n\u00e9")", R"("\ud83d\ude00x")", "\"\U0001F600\U0001F600\""},
        {R"("a")", R"("01234567890")", R"("\ud83d\ude00")", R"("\ud83dx")", R"("\n")"});
    expect(R"({"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "null"}})",
           {"[null,null]", "[null, null, null]", "[\n  null,\n  null\n]"}, {"[]", "[null]", "[null,null,null,null]"});
    const auto long_text = read(R"({"type": "string", "maxLength": 100000})").value();
    EXPECT_TRUE(takes(long_text, '"' + std::string(100'000, 'x') + '"'));
    EXPECT_FALSE(takes(long_text, '"' + std::string(100'001, 'x') + '"'));
}

TEST(JsonSchema, MembersAreCounted) {
    expect(R"({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "additionalProperties": false,
               "minProperties": 1, "maxProperties": 2})",
           {R"({"a":1})", R"({"a":1,"c":2})", R"({"b":1,"c":2})"}, {"{}", R"({"a":1,"b":2,"c":3})"});
    expect(R"({"type": "object", "minProperties": 1})", {R"({"a":1})", R"({"a":1,"b":2})"}, {"{}"});
    expect(R"({"type": "object", "maxProperties": 1})", {"{}", R"({"a":1})"}, {R"({"a":1,"b":2})"});
    expect(R"({"type": "object", "maxProperties": 4294967296})", {"{}", R"({"a":1})"}, {});
}

TEST(JsonSchema, SchemasAreMetTogether) {
    expect(R"({"$defs": {"named": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
               "$ref": "#/$defs/named", "properties": {"name": {"maxLength": 2}, "n": {"type": "integer"}},
               "additionalProperties": false})",
           {R"({"name":"ab"})", R"({"name": "ab", "n": 1})"},
           {"{}", R"({"name":"abc"})", R"({"name":"a","x":1})", "1"});
    expect(
        R"({"allOf": [{"type": ["integer", "string"]}, {"minimum": 3}, {"anyOf": [{"maximum": 5}, {"maxLength": 1}]}],
               "maximum": 7})",
        {"3", "7", "\"abc\""}, {"2", "8", "null"});
    expect(R"({"type": "string", "anyOf": [{"const": "a"}, {"enum": ["b", 1]}, {"pattern": "^c+$"}]})",
           {"\"a\"", "\"b\"", "\"cc\""}, {"1", "\"d\""});
    expect(R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
                          "required": ["kind"], "additionalProperties": false},
                         {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
                         {"type": "string"}]})",
           {R"({"kind":"a","x":1})", R"({"kind":"b","x":"y"})", "\"s\""},
           {R"({"kind":"a","x":"y"})", R"({"kind":"c"})"});
    expect(
        R"({"enum": [1, 2.5, "a", null, {"b": [true, 1e2]}], "type": ["integer", "object", "string"], "maximum": 0})",
        {"\"a\"", R"({"b":[true,100]})", R"({"b": [true, 100]})"}, {"1", "2.5", "null"});
}

TEST(JsonSchema, RecursionEndsWhereValuesDo) {
    expect(R"({"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
               "required": ["next"], "additionalProperties": false})",
           {R"({"next":null})", R"({"next":{"next":{"next":null}}})"}, {"{}", R"({"next":{}})"});
    expect(R"({"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}},
               "$ref": "#/$defs/b"})",
           {"[]", "[[],[[]]]"}, {"[1]", "{}"});
    // No value is deep without end.
    const auto endless = read(R"({"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]})");
    ASSERT_TRUE(endless);
    Work work{kPlenty};
    EXPECT_EQ(Automaton::of(*endless, work).error().message, "is met by no text at all");
}

TEST(JsonSchema, Blanks) {
    expect(R"({"type": "object", "properties": {"a": {"type": "array"}}})",
           {"{}", "{ }", R"({"a":[1,{"b":2}],"c":{}})", R"({ "a" : [ 1 , { "b" : 2 } ] , "c" : { } })",
            "{\n  \"a\": [\n    1\n  ]\n}", "{\n\t\"a\": []\n}"},
           {" {}", "{} ", "{  }", "{\n\n\n}", R"({"a":[1,]})"});
}

TEST(JsonSchema, PatternsAreFoundInStrings) {
    const auto matches = [](std::string_view pattern, std::string_view characters) {
        const auto expression = read_pattern(pattern);
        EXPECT_TRUE(expression) << pattern;
        Rules rules;
        rules.add("root", *expression);
        return takes(rules, characters);
    };
    const std::tuple<const char*, std::vector<const char*>, std::vector<const char*>> cases[] = {
        {"^[a-c]{2,4}$", {"ab", "cccc"}, {"a", "abcab", "ab\\n"}},
        {"b+", {"b", "abc", "bbb", "\\\"b"}, {"", "ac"}},
        {"^a|b$|^c$", {"a", "ax", "xb", "c"}, {"xa", "bx", "cx"}},
        {"^(?:ab|(?<n>c)d)?e*?$", {"", "ab", "cdee"}, {"abc"}},
        {"^\\d\\w\\S[^x]$", {"1_a\\n", "1aby", "1a\\\"\\\\"}, {"1a x", "1abx"}},
        {"^.$", {"x", "\\\"", "\\\\", "\\t", "é"}, {"\\n", "", "xx"}},
        {"^\\u00e9\\x41\\u{1F600}\\cA$", {"éA😀\\u0001"}, {"éA😀"}},
        {"^\\$\\.\\/[\\]\\-a]$", {"$./]", "$./-"}, {"$.//"}},
        {"", {"", "anything"}, {}},
    };
    for (const auto& [pattern, taken, refused] : cases) {
        for (const char* text : taken) EXPECT_TRUE(matches(pattern, text)) << pattern << " and " << text;
        for (const char* text : refused) EXPECT_FALSE(matches(pattern, text)) << pattern << " and " << text;
    }
}

TEST(JsonSchema, APatternThatCannotBeHadIsNotOneThatIsNone) {
    const std::pair<const char*, const char*> unsupported[] = {
        {"a(?=b)", "a lookahead"},
        {"a(?!b)", "a lookahead"},
        {"(?<!a)b", "a lookbehind"},
        {"(?<=a)b", "a lookbehind"},
        {"(a)\\1", "a reference back"},
        {"(?<n>a)\\k<n>", "a reference back"},
        {"\\bx", "a word boundary"},
        {"x\\B", "a word boundary"},
        {"\\p{L}", "a Unicode property"},
        {"(?i:a)", "modifiers"},
        {"(^a)", "^ or $ elsewhere than at its ends"},
        {"a$b", "^ or $ elsewhere than at its ends"},
        {"a{4294967295}", "a repetition that no text reaches"},
        {"\\ud83d", "half of a surrogate pair"},
    };
    for (const auto& [pattern, what] : unsupported) {
        const auto expression = read_pattern(pattern);
        ASSERT_FALSE(expression) << pattern;
        EXPECT_EQ(expression.error().what, std::string("uses a pattern with ") + what) << pattern;
        EXPECT_FALSE(expression.error().is_error) << pattern;
    }
    EXPECT_EQ(read_pattern(std::string(33, '(') + std::string(33, ')')).error().what,
              "uses a pattern with groups deeper than 32");
    const std::pair<const char*, const char*> wrong[] = {
        {"[", "a class without an end, at character 1"},
        {"ü[a", "a class without an end, at character 2"},
        {"a**", "a repetition of nothing, at character 3"},
        {"?", "a repetition of nothing, at character 1"},
        {"x|(a", "a group without an end, at character 3"},
        {"a)", "a parenthesis that closes no group, at character 2"},
        {"a[b-a]", "a range of characters that counts down, at character 3"},
        {"a{2,1}", "a repetition that counts down, at character 2"},
        {"a\\", "a backslash that escapes nothing, at character 2"},
        {"\\q", "an escape that there is not, at character 2"},
        {"\\u12", "an escape without its digits, at character 3"},
        {"\\u{110000}", "an escape that is no character, at character 3"},
        {"a{", "{ that begins no repetition, and is written \\{ where it is meant itself, at character 2"},
        {"(?<", "a group whose name is none, at character 4"},
        {"(?<>a)", "a group whose name is none, at character 4"},
        {"(?<a", "a group whose name is none, at character 4"},
        {"(?<1>a)", "a group whose name is none, at character 4"},
        {"(?", "a kind of group that there is not, at character 3"},
        {"(?P<n>a)", "a kind of group that there is not, at character 3"},
    };
    for (const auto& [pattern, why] : wrong) {
        const auto expression = read_pattern(pattern);
        ASSERT_FALSE(expression) << pattern;
        EXPECT_EQ(expression.error().what, "has a pattern that is no regular expression") << pattern;
        EXPECT_TRUE(expression.error().is_error) << pattern;
        EXPECT_EQ(expression.error().detail, why) << pattern;
    }
    EXPECT_EQ(refusal(R"({"properties": {"a": {"type": "string", "pattern": "["}}})"),
              "has a pattern that is no regular expression at #/properties/a: a class without an end, at character 1");
}

TEST(JsonSchema, WhatCannotBeKeptIsNamed) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"type": "number", "multipleOf": 0.1})", "uses multipleOf at #"},
        {R"({"not": {}})", "uses not at #"},
        {R"({"if": {}, "then": false})", "uses if at #"},
        {R"({"properties": {"a": {"items": {"uniqueItems": true}}}})", "uses uniqueItems at #/properties/a/items"},
        {R"({"properties": {"x/y": {"contains": {}}}})", "uses contains at #/properties/x/y"},
        {R"({"anyOf": [{}, {"dependentRequired": {"a": ["b"]}}]})", "uses dependentRequired at #/anyOf/1"},
        {R"({"$defs": {"d": {"patternProperties": {"a": {}}}}, "$ref": "#/$defs/d"})",
         "uses patternProperties at #/$defs/d"},
        {R"({"oneOf": [{"type": "integer"}, {"minimum": 2}]})",
         "uses oneOf whose choices 0 and 1 may be met by one value at #"},
        {R"({"type": "string", "pattern": "^a$", "maxLength": 1})",
         "limits a string by its length and by pattern or format at #"},
        {R"({"type": "string", "pattern": "^a$", "format": "date"})",
         "limits a string by more than one of pattern and format at #"},
        {R"x({"type": "string", "pattern": "(?=a)"})x", "uses a pattern with a lookahead at #"},
        {R"({"format": "email"})", "uses a format other than date, time, date-time, uuid and ipv4 at #"},
        {R"({"type": "string", "minLength": 3, "maxLength": 2})", "has minLength above maxLength at #"},
        {R"({"type": "string", "minLength": 4294967296})", "has minLength that no text reaches at #"},
        {R"({"minItems": 3, "maxItems": 2})", "has minItems above maxItems at #"},
        {R"({"items": [{}]})", "has items that is an array (prefixItems is) at #"},
        {R"({"type": "integer", "minimum": 3, "maximum": 2})", "has a minimum above its maximum at #"},
        {R"({"minimum": 3, "exclusiveMaximum": 3})", "has a minimum above its maximum at #"},
        {R"({"minimum": 1e20})", "has minimum above all numbers of 20 digits at #"},
        {R"({"maximum": -1e300})", "has maximum below all numbers of 20 digits at #"},
        {R"({"$ref": "https://example.org/a"})", "has a $ref that is no place in this schema at #"},
        {R"({"$schema": "https://example.org/mine"})", "names a $schema other than json-schema.org's at #"},
        {R"({"type": "object", "minProperties": 2})", "uses minProperties above 1 beside additionalProperties at #"},
        {R"({"$ref": "#a"})", "has a $ref that is no place in this schema at #"},
    };
    for (const auto& [schema, expected] : cases) {
        EXPECT_EQ(refusal(schema), std::string(expected) + ", which is not supported") << schema;
    }
    // What limits values of other types only, or nothing, is no matter.
    for (const char* schema :
         {R"({"type": "object", "maxLength": 1, "multipleOf": 2})", R"({"uniqueItems": false, "x-mine": 1})", "true",
          R"({"$defs": {"unused": {"not": {}}}, "title": "T", "default": {"minimum": 3}})", R"({"then": false})"}) {
        EXPECT_EQ(refusal(schema), "") << schema;
    }
}

TEST(JsonSchema, WhatIsNoSchemaIsNotCalledUnsupported) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"maxLength": -1})", "has maxLength that is no whole number from 0 on at #"},
        {R"({"maxItems": 1.5})", "has maxItems that is no whole number from 0 on at #"},
        {R"({"maxItems": "1"})", "has maxItems that is no whole number from 0 on at #"},
        {R"({"minimum": "3"})", "has minimum that is no number at #"},
        {R"({"exclusiveMinimum": true})", "has exclusiveMinimum that is no number at #"},
        {R"({"$ref": "#"})", "refers to itself without end at #"},
        {R"({"allOf": [{"$ref": "#"}]})", "refers to itself without end at #"},
        {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", "refers to itself without end at #"},
        {R"({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})",
         "refers to itself without end at #/$defs/a"},
        {R"({"type": "nonsense"})", "has a type that is none at #"},
        {R"({"properties": {"a": 1}})", "has a schema that is neither an object nor a boolean at #/properties/a"},
        {R"({"properties": []})", "has properties that is no object at #"},
        {R"({"required": "a"})", "has required that is no array at #"},
        {R"({"enum": 1})", "has enum that is no array at #"},
        {R"({"anyOf": []})", "has anyOf that is no array of schemas at #"},
        {R"({"$ref": "#/$defs/a"})", "has a $ref to what this schema does not hold at #"},
        {R"({"$ref": 1})", "has $ref that is no string at #"},
        {R"({"const": 1, "enum": 1})", "has enum that is no array at #"},
        {R"({"const": "a", "pattern": 1})", "has pattern that is no string at #"},
    };
    for (const auto& [schema, expected] : cases) EXPECT_EQ(refusal(schema), expected) << schema;
}

/// Combinations that multiply are bounded.
TEST(JsonSchema, WhatMultipliesIsRefused) {
    std::string schema = R"({"allOf": [)";
    for (int i = 0; i < 20; ++i) {
        const std::string n = std::to_string(i);
        if (i > 0) schema += ',';
        schema += R"({"anyOf": [{"required": ["a)" + n + R"("]}, {"required": ["b)" + n + R"("]}]})";
    }
    EXPECT_NE(refusal(schema + "]}").find("combines more than 32768 schemas at "), std::string::npos);
    std::string pattern = R"({"pattern": "^a", "enum": [0)";
    std::string values = R"({"enum": [0)";
    for (int i = 0; i < 4000; ++i) {
        pattern += R"(, "a")";
        values += ", " + std::to_string(i);
    }
    EXPECT_EQ(refusal(pattern + "]}"), "has a pattern beside more than 64 values at #, which is not supported");
    EXPECT_EQ(refusal(values + "]}"), "");
}

/// Whole and other numbers, by each way of saying a range.
TEST(NumberRange, TakesWhatLiesBetween) {
    std::mt19937 random(3);
    const auto number = [&](int places) {
        const int whole = static_cast<int>(random() % 300) - 150;
        std::string text = std::to_string(whole);
        if (places > 0) {
            text += '.';
            for (int i = 0; i < places; ++i) text += static_cast<char>('0' + random() % 10);
        }
        return text;
    };
    int n_taken = 0;
    for (int i = 0; i < 300; ++i) {
        const std::string low = number(static_cast<int>(random() % 3));
        const std::string high = number(static_cast<int>(random() % 3));
        NumberRange range;
        const auto decimal = [](const std::string& text) { return Decimal::of(boost::json::parse(text)); };
        if (random() % 4 > 0) range.raise_least({decimal(low), random() % 2 == 0});
        if (random() % 4 > 0 || !range.least) range.lower_most({decimal(high), random() % 2 == 0});
        Rules whole;
        whole.add("whole", whole_numbers(range));
        Rules all;
        all.add("all", numbers(range));
        const auto whole_matcher = matcher_of(whole);
        const auto all_matcher = matcher_of(all);
        for (int k = 0; k < 20; ++k) {
            std::string text = number(static_cast<int>(random() % 4));
            if (k == 0) text = low;
            if (k == 1) text = high;
            if (text.starts_with("-0") && decimal(text).is_whole() && decimal(text).whole == "0") continue;
            const Decimal value = decimal(text);
            bool inside = true;
            if (range.least) inside = inside && compare(value, range.least->value) >= (range.least->excluded ? 1 : 0);
            if (range.most) inside = inside && compare(value, range.most->value) <= (range.most->excluded ? -1 : 0);
            ASSERT_EQ(takes(all_matcher.get(), text), inside) << text << " in " << low << " to " << high;
            const bool plain = text.find('.') == std::string::npos;
            ASSERT_EQ(takes(whole_matcher.get(), text), inside && plain) << text << " in " << low << " to " << high;
            n_taken += inside ? 1 : 0;
        }
    }
    EXPECT_GT(n_taken, 500);
}

}  // namespace
}  // namespace sutazai::grammar
