#include "base/json_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "base/utf8_stream.h"

namespace sutazai {
namespace {

std::string in_quotes(std::string_view text) {
    std::string out;
    append_quoted(out, text);
    return out;
}

std::string as_utf8(std::string_view bytes) {
    Utf8Stream stream;
    std::string out;
    stream.append(bytes, out);
    stream.finish(out);
    return out;
}

TEST(AppendQuoted, WritesTheGoldenBytes) {
    EXPECT_EQ(in_quotes("a\"b\\c\n\r\t\b\f\x01\x7f/é🙂"), R"("a\"b\\c\n\r\t\b\f\u0001)"
                                                             "\x7f/é🙂\"");
}

TEST(AppendQuoted, ReplacesWhatIsNoUtf8) {
    EXPECT_EQ(in_quotes("\xff"), "\"\uFFFD\"");
    EXPECT_EQ(in_quotes("\xc0\x80"), "\"\uFFFD\uFFFD\"") << "overlong";
    EXPECT_EQ(in_quotes("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\"") << "surrogate";
    EXPECT_EQ(in_quotes("a\xe2\x82"), "\"a\uFFFD\"") << "cut off";
}

TEST(AppendQuoted, AnyBytesParseBack) {
    std::mt19937 random(7);
    for (int round = 0; round < 20000; ++round) {
        std::string bytes(random() % 24, '\0');
        // Half of the rounds stay near the bytes that matter, else valid characters would hardly ever occur.
        constexpr std::string_view kTelling = "a\"\\\n\x1f\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\xff";
        for (char& byte : bytes) {
            byte = round % 2 == 0 ? static_cast<char>(random()) : kTelling[random() % kTelling.size()];
        }
        const std::string out = in_quotes(bytes);
        boost::json::error_code failure;
        const boost::json::value value = boost::json::parse(out, failure);
        ASSERT_FALSE(failure) << out;
        ASSERT_EQ(std::string_view(value.get_string()), as_utf8(bytes)) << "round " << round;
        ASSERT_EQ(out.find('\n'), std::string::npos) << "a line break would end the SSE field";
    }
}

TEST(ToJson, IsCompactAndKeepsTheOrder) {
    const std::string text = R"({"z":[1,-2,18446744073709551615,true,null,{},[]],"a\n":{"b":"c\"","empty":""}})";
    EXPECT_EQ(to_json(boost::json::parse(text)), text);
}

TEST(ToJson, NumbersAreForPeople) {
    EXPECT_EQ(to_json({0.0, 1.0, -2.5, 0.1, 100.0, 1e5, 1e20, 1e-7}), "[0.0,1.0,-2.5,0.1,100.0,100000.0,1e+20,1e-07]");
    EXPECT_EQ(to_json({std::nan(""), std::numeric_limits<double>::infinity()}), "[null,null]");
    EXPECT_EQ(to_json({as_written(0.1F), as_written(-3), as_written(16777216)}), "[0.1,-3.0,16777216.0]");
    EXPECT_EQ(to_json({rounded(0.12345, 3), rounded(66.666, 1), rounded(2, 2)}), "[0.123,66.7,2.0]");
}

TEST(ToJson, AnyDoubleParsesBack) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 20000; ++round) {
        const auto number = std::bit_cast<double>(random());
        if (!std::isfinite(number)) continue;
        const boost::json::value back = boost::json::parse(to_json(number));
        // Boost's parser may be off by the last digit.
        ASSERT_NEAR(back.to_number<double>() / number, 1, 1e-14) << to_json(number);
    }
}

}  // namespace
}  // namespace sutazai
