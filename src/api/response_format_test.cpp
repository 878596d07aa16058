#include "api/response_format.h"

#include <gtest/gtest.h>

namespace sutazai::api {
namespace {

Result<GenerationRequest> read(std::string_view body) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    GenerationRequest request;
    read_response_format(fields, request);
    if (error) return std::unexpected(*error);
    return request;
}

std::string schema_of(std::string_view format) {
    const auto request = read(R"({"response_format": )" + std::string(format) + "}");
    return request ? request->json_schema : request.error().field + ": " + request.error().message;
}

TEST(ResponseFormat, ReadsTheThreeTypes) {
    EXPECT_EQ(schema_of(R"({"type": "text"})"), "");
    EXPECT_EQ(schema_of("{}"), "");
    EXPECT_EQ(schema_of("null"), "");
    EXPECT_EQ(schema_of(R"({"type": "json_object"})"), R"({"type":"object"})");
    EXPECT_EQ(schema_of(R"({"type": "json_object", "schema": {"type": "array"}})"), R"({"type":"array"})");
    EXPECT_EQ(
        schema_of(
            R"({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"b": 1, "a": 2}}})"),
        R"({"b":1,"a":2})")
        << "the order of properties is the order of the text";
    EXPECT_EQ(read(R"({"grammar": "root ::= \"a\""})")->grammar, R"(root ::= "a")");
}

TEST(ResponseFormat, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(schema_of("1"), "response_format: response_format must be an object (got a number)");
    EXPECT_EQ(schema_of(R"({"type": "xml"})"),
              "response_format.type: response_format.type must be text, json_object or json_schema");
    EXPECT_EQ(schema_of(R"({"type": "json_schema"})"),
              "response_format.json_schema: response_format.json_schema is missing");
    EXPECT_EQ(schema_of(R"({"type": "json_schema", "json_schema": []})"),
              "response_format.json_schema: response_format.json_schema must be an object (got an array)");
    EXPECT_EQ(schema_of(R"({"type": "json_schema", "json_schema": {"name": "x"}})"),
              "response_format.json_schema.schema: response_format.json_schema.schema is missing");
    EXPECT_EQ(
        schema_of(R"({"type": "json_schema", "json_schema": {"schema": true}})"),
        "response_format.json_schema.schema: response_format.json_schema.schema must be an object (got a boolean)");
    EXPECT_EQ(read(R"({"grammar": 1})").error().message, "grammar must be a string (got a number)");
    EXPECT_EQ(read(R"({"grammar": "root ::= \"a\"", "response_format": {"type": "json_object"}})").error().message,
              "grammar and response_format exclude each other");
}

TEST(ResponseFormat, FieldsThatItsTypeDoesNotHaveAreRefused) {
    const auto refused = [](const std::string& field) { return field + ": " + field + " is not supported"; };
    EXPECT_EQ(schema_of(R"({"type": "text", "foo": 1})"), refused("response_format.foo"));
    EXPECT_EQ(schema_of(R"({"type": "json_object", "json_schema": {"schema": {}}})"),
              refused("response_format.json_schema"));
    EXPECT_EQ(schema_of(R"({"type": "json_schema", "json_schema": {"schema": {}}, "schema": {}})"),
              refused("response_format.schema"));
    EXPECT_EQ(schema_of(R"({"type": "json_schema", "json_schema": {"schema": {}, "bar": true}})"),
              refused("response_format.json_schema.bar"));
    EXPECT_EQ(schema_of(R"({"type": "json_schema", "foo": null,
                            "json_schema": {"schema": {}, "name": "n", "description": "d", "strict": false}})"),
              "{}");
}

std::string wrapped(const std::string& schema) {
    return R"({"type": "json_object", "schema": )" + schema + "}";
}

TEST(ResponseFormat, BoundsWhatMustBeCompiled) {
    const std::string field = "response_format.schema: response_format.schema ";
    std::string values = R"({"enum": [0)";
    for (int i = 0; i < 5000; ++i) values += ",0";
    EXPECT_EQ(schema_of(wrapped(values + "]}")), field + "holds more than 4096 values at #/enum/4094");
    std::string properties = R"({"properties": {"p": 0)";
    for (int i = 0; i < 256; ++i) properties += ",\"p" + std::to_string(i) + "\": 0";
    EXPECT_EQ(schema_of(wrapped(properties + "}}")), field + "holds an object of more than 256 fields at #/properties");
    EXPECT_EQ(schema_of(wrapped(R"({"items": {"pattern": ")" + std::string(513, '(') + "\"}}")),
              field + "holds a pattern of more than 512 bytes at #/items/pattern");
    EXPECT_EQ(schema_of(wrapped(R"({"const": 1e400})")), field + "holds a number beyond 1.8e308 at #/const");
    EXPECT_EQ(schema_of(wrapped(R"({"properties": {"a": {"enum": [1, -1e309]}}})")),
              field + "holds a number beyond 1.8e308 at #/properties/a/enum/1");
    EXPECT_EQ(schema_of(wrapped(R"({"const": ")" + std::string(70000, 'x') + "\"}")),
              field + "has 70012 bytes; at most 65536 are allowed");
    EXPECT_EQ(read(R"({"grammar": ")" + std::string(70000, 'x') + "\"}").error().message,
              "grammar has 70000 bytes; at most 65536 are allowed");
    std::string deep;
    for (int i = 0; i < 40; ++i) deep += R"({"items":)";
    EXPECT_EQ(schema_of(wrapped(deep + "1" + std::string(40, '}'))), ": The body nests deeper than 32 levels.");
}

}  // namespace
}  // namespace sutazai::api
