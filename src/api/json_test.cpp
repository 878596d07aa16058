#include "api/json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace sutazai::api {
namespace {

/// Parses `body` and hands its reader to `read`; the message of the first error, or "".
template <typename Read>
std::string message_of(std::string_view body, Read read) {
    const auto object = parse_object(body);
    if (!object) return object.error().message;
    std::optional<Error> error;
    FieldReader fields(*object, error);
    read(fields);
    return error ? error->message : "";
}

std::string nested(std::size_t levels) {
    return R"({"a":)" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
}

TEST(Json, AFieldIsAbsentHoweverItIsLeftEmpty) {
    EXPECT_TRUE(is_absent(nullptr));
    for (const char* text : {"null", "\"\"", "[]"}) {
        const boost::json::value value = boost::json::parse(text);
        EXPECT_TRUE(is_absent(&value)) << text;
    }
    for (const char* text : {"0", "false", "{}", "[0]", "\" \""}) {
        const boost::json::value value = boost::json::parse(text);
        EXPECT_FALSE(is_absent(&value)) << text;
    }
}

TEST(ParseObject, RefusesWhatIsNoObject) {
    EXPECT_TRUE(parse_object(R"({"a": 1})"));
    EXPECT_EQ(parse_object("[1]").error().message, "The body must be a JSON object (got an array).");
    for (const char* body : {"", "{", R"({"a":1} x)", R"({"a":nan})", "{\"a\":\"\xff\"}", R"({"a":"\ud800"})"}) {
        const auto object = parse_object(body);
        ASSERT_FALSE(object) << body;
        EXPECT_EQ(object.error().code, ErrorCode::kInvalidArgument);
        EXPECT_TRUE(object.error().message.starts_with("The body is not valid JSON: ")) << object.error().message;
    }
}

TEST(ParseObject, SaysWhereJsonIsInvalid) {
    const auto message = [](std::string_view body) { return parse_object(body).error().message; };
    EXPECT_EQ(message(R"({"a": 1,})"), "The body is not valid JSON: syntax error at byte offset 8.");
    EXPECT_EQ(message("\xEF\xBB\xBF{\"a\": 1,}"), "The body is not valid JSON: syntax error at byte offset 11.")
        << "a byte order mark counts";
    EXPECT_EQ(message(R"({"a": 1} x)"), "The body is not valid JSON: extra data at byte offset 9.");
    EXPECT_EQ(message(R"({"a": tru})"), "The body is not valid JSON: syntax error at byte offset 6.");
    EXPECT_EQ(message(R"({"a": 1)"), "The body is not valid JSON: incomplete JSON at byte offset 7.");
    EXPECT_EQ(message(""), "The body is not valid JSON: incomplete JSON at byte offset 0.");
    const std::string spaces(100'000, ' ');
    EXPECT_EQ(message(spaces + "{'a': 1}"), "The body is not valid JSON: syntax error at byte offset 100001.");
    EXPECT_EQ(message("{\"a\": \"b\xff\"}"), "The body is not valid JSON: syntax error at byte offset 8.");
}

TEST(ParseObject, LimitsDepth) {
    EXPECT_TRUE(parse_object(nested(kMaxJsonDepth)));
    EXPECT_EQ(parse_object(nested(kMaxJsonDepth + 1)).error().message, "The body nests deeper than 32 levels.");
    EXPECT_EQ(parse_object(nested(100000)).error().message, "The body nests deeper than 32 levels.");
}

TEST(FieldReader, NumbersKeepTheirRange) {
    const auto read = [](std::string_view body) {
        float value = 7;
        std::string message = message_of(body, [&](FieldReader& fields) { fields.number("t", {0, 2}, value); });
        return message.empty() ? std::to_string(value) : message;
    };
    EXPECT_EQ(read(R"({"t": 0})"), "0.000000");
    EXPECT_EQ(read(R"({"t": 2})"), "2.000000");
    EXPECT_EQ(read(R"({"t": 1.5})"), "1.500000");
    EXPECT_EQ(read(R"({})"), "7.000000");
    EXPECT_EQ(read(R"({"t": null})"), "7.000000");
    EXPECT_EQ(read(R"({"t": 3.5})"), "t must be between 0 and 2 (got 3.5)");
    EXPECT_EQ(read(R"({"t": -1})"), "t must be between 0 and 2 (got -1)");
    EXPECT_EQ(read(R"({"t": "1"})"), "t must be a number (got a string)");
    EXPECT_NE(read(R"({"t": 1e400})").find("t must be"), std::string::npos) << read(R"({"t": 1e400})");
    EXPECT_EQ(read(R"({"t": 18446744073709551615})"), "t must be between 0 and 2 (got 18446744073709551615)");
}

TEST(FieldReader, AnOpenRangeLeavesItsEndOut) {
    const auto read = [](std::string_view body) {
        float value = 7;
        return message_of(body, [&](FieldReader& fields) { fields.number("p", {0, 1, true}, value); });
    };
    EXPECT_EQ(read(R"({"p": 1})"), "");
    EXPECT_EQ(read(R"({"p": 0})"), "p must be above 0 and at most 1 (got 0)");
    EXPECT_EQ(read(R"({"p": 1e-60})"), "p must be above 0 and at most 1 (got 1e-60)");
}

TEST(FieldReader, IntegersAreWhole) {
    const auto read = [](std::string_view body) {
        int value = 7;
        std::string message = message_of(body, [&](FieldReader& fields) { fields.integer("n", -10, 10, value); });
        return message.empty() ? std::to_string(value) : message;
    };
    EXPECT_EQ(read(R"({"n": 5})"), "5");
    EXPECT_EQ(read(R"({"n": 5.0})"), "5");
    EXPECT_EQ(read(R"({"n": -1e1})"), "-10");
    EXPECT_EQ(read(R"({"n": 5.5})"), "n must be a whole number (got 5.5)");
    EXPECT_EQ(read(R"({"n": 11})"), "n must be between -10 and 10 (got 11)");
    EXPECT_EQ(read(R"({"n": 4294967297})"), "n must be between -10 and 10 (got 4294967297)") << "must not wrap";
    EXPECT_EQ(read(R"({"n": 1e300})"), "n must be between -10 and 10 (got 1e+300)");
    EXPECT_EQ(read(R"({"n": true})"), "n must be a whole number (got a boolean)");
}

TEST(FieldReader, IntegersReachBothEndsOfInt64) {
    const auto read = [](std::string_view body) {
        std::int64_t value = 0;
        using Limits = std::numeric_limits<std::int64_t>;
        const std::string message =
            message_of(body, [&](FieldReader& fields) { fields.integer("n", Limits::min(), Limits::max(), value); });
        return message.empty() ? std::to_string(value) : "refused";
    };
    EXPECT_EQ(read(R"({"n": 9223372036854775807})"), "9223372036854775807");
    EXPECT_EQ(read(R"({"n": -9223372036854775808})"), "-9223372036854775808");
    EXPECT_EQ(read(R"({"n": 9223372036854775808})"), "refused");
    EXPECT_EQ(read(R"({"n": -9.3e18})"), "refused");
}

TEST(FieldReader, TheFirstErrorCountsAndNamesItsPath) {
    const auto object = parse_object(R"({"a": "x", "b": 1, "inner": {"c": 2}})");
    ASSERT_TRUE(object);
    std::optional<Error> error;
    FieldReader fields(*object, error);
    const auto& inner_object = fields.find("inner")->get_object();
    FieldReader inner(inner_object, error, "inner.");
    std::string text = "before";
    bool flag = false;
    inner.string("c", text);
    fields.boolean("b", flag);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error->field, "inner.c");
    EXPECT_EQ(error->message, "inner.c must be a string (got a number)");
    EXPECT_EQ(text, "before");
    EXPECT_EQ(fields.find("a"), nullptr) << "nothing is read after an error";
}

}  // namespace
}  // namespace sutazai::api
