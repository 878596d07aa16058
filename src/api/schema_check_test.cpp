#include "api/schema_check.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::api {
namespace {

std::string of(std::string_view schema) {
    return unsupported_in(boost::json::parse(schema));
}

TEST(SchemaCheck, TakesWhatAGrammarCanExpress) {
    for (const char* schema : {
             R"({})",
             R"({"type": "object"})",
             R"({"type": ["string", "null"]})",
             R"({"enum": [1, "a", null]})",
             R"({"type": "string", "enum": ["a"], "description": "x", "x-mine": 1})",
             R"({"type": "null", "const": null})",
             R"({"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9}},
                 "required": ["a"], "additionalProperties": false})",
             R"({"type": "object", "additionalProperties": {"type": "number"}})",
             R"({"type": "array", "items": {"$ref": "#/$defs/d"}, "minItems": 1, "maxItems": 1, "uniqueItems": false,
                 "$defs": {"d": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "boolean"}]}}})",
             R"({"prefixItems": [{"type": "string", "format": "date"}, {"pattern": "^a$"}]})",
             R"({"title": "T", "default": {"minimum": 3}})",
         }) {
        EXPECT_EQ(of(schema), "") << schema;
    }
}

TEST(SchemaCheck, NamesWhatAGrammarWouldLeaveOut) {
    const std::pair<const char*, const char*> cases[] = {
        {R"({"type": "number", "minimum": 0})", "uses minimum at #"},
        {R"({"type": "integer", "multipleOf": 3})", "uses multipleOf at #"},
        {R"({"minimum": 0})", "uses minimum at #"},
        {R"({"allOf": [{}]})", "uses allOf at #"},
        {R"({"oneOf": [{}]})", "uses oneOf at #"},
        {R"({"anyOf": [{}], "type": "object"})", "uses type at #"},
        {R"({"$ref": "#/$defs/a", "minLength": 2, "$defs": {"a": {}}})", "uses minLength at #"},
        {R"({"$defs": {"a": {"not": {}}}})", "uses not at #/$defs/a"},
        {R"({"properties": {"a": {"items": {"uniqueItems": true}}}})", "uses uniqueItems at #/properties/a/items"},
        {R"({"type": "object", "minProperties": 1})", "uses minProperties at #"},
        {R"({"type": "object", "required": ["a"]})", "requires what is none of its properties at #"},
        {R"({"type": "object", "maxLength": 1})", "uses maxLength at #"},
        {R"({"type": "string", "pattern": "^a$", "maxLength": 1})", "limits a string in more than one of length"},
        {R"({"type": "string", "pattern": "a"})", "uses a pattern that is not ^...$"},
        {R"({"type": "string", "format": "email"})", "uses a format other than date"},
        {R"({"type": "string", "minLength": 3, "maxLength": 2})", "has minLength above maxLength at #"},
        {R"({"type": "array", "minItems": 3, "maxItems": 2})", "has minItems above maxItems at #"},
        {R"({"prefixItems": [{}], "items": {}})", "uses items beside prefixItems at #"},
        {R"({"items": [{}]})", "has a schema that is no object at #/items"},
        {R"({"type": "integer", "minimum": 3, "maximum": 2})", "has a minimum above its maximum at #"},
        {R"({"type": "integer", "minimum": 3, "exclusiveMinimum": 2})", "has both minimum and exclusiveMinimum at #"},
        {R"({"type": "string", "const": 1})", "has a const that is not of its type at #"},
        {R"({"type": ["string", "null"], "enum": ["a", 1]})", "has an enum value that is not of its type at #"},
        {R"({"type": ["integer", "number"], "minimum": 1})", "has both types integer and number at #"},
        {R"({"$ref": "#"})", "has a $ref to elsewhere than #/$defs/... at #"},
        {R"({"$ref": "https://example.org/a"})", "has a $ref to elsewhere"},
        {R"({"$ref": "#/$defs/a/default"})", "has a $ref to elsewhere"},
        {R"({"properties": {"a": true}})", "has a schema that is no object at #/properties/a"},
    };
    for (const auto& [schema, expected] : cases) {
        EXPECT_TRUE(of(schema).starts_with(expected)) << schema << ": " << of(schema);
    }
}

TEST(SchemaCheck, PatternsAreThoseThatAJsonStringCanHold) {
    for (const char* pattern :
         {"^a$", "^$", "^[a-z0-9_]{2,4}$", "^(ab|cd)+x?$", "^(?:a)*\\.b$", "^[0-9]{3}-[0-9]{4}$", "^a{2,}$"}) {
        EXPECT_TRUE(is_supported_pattern(pattern)) << pattern;
    }
    for (const char* pattern :
         {"",       "^",        "a",      "^a",         "a$",   "^.$",   "^[^a]$", "^\\d$", "^[ -~]$", "^\"$",
          "^[\"]$", "^[\\\\]$", "^\\\\$", "^\xc3\xa9$", "^[a$", "^a\\$", "^a$b$",  "^\n$",  "^[]a]$",  "^[z-a]$"}) {
        EXPECT_FALSE(is_supported_pattern(pattern)) << pattern;
    }
}

}  // namespace
}  // namespace sutazai::api
