#include "api/json_text.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <random>

#include "text/utf8_stream.h"

namespace sutazai::api {
namespace {

std::string as_utf8(std::string_view bytes) {
    text::Utf8Stream stream;
    std::string out;
    stream.append(bytes, out);
    stream.finish(out);
    return out;
}

TEST(AppendQuoted, WritesTheGoldenBytes) {
    std::string out;
    append_quoted(out, "a\"b\\c\n\r\t\b\x7f/é🙂");
    EXPECT_EQ(out, R"("a\"b\\c\n\r\t\u0008)"
                   "\x7f/é🙂\"");
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
        std::string out;
        append_quoted(out, bytes);
        boost::json::error_code failure;
        const boost::json::value value = boost::json::parse(out, failure);
        ASSERT_FALSE(failure) << out;
        ASSERT_EQ(std::string_view(value.get_string()), as_utf8(bytes)) << "round " << round;
        ASSERT_EQ(out.find('\n'), std::string::npos) << "a line break would end the SSE field";
    }
}

TEST(AppendTimestamp, IsUtcWithMilliseconds) {
    using namespace std::chrono_literals;
    const auto when = std::chrono::sys_days{std::chrono::January / 26 / 2025} + 14h + 30min + 52s;
    std::string out;
    append_timestamp(out, when + 7ms + 999us);
    EXPECT_EQ(out, "2025-01-26T14:30:52.007Z");
}

TEST(AppendUsage, TotalDoesNotWrap) {
    std::string out;
    append_usage(out, {.prompt_tokens = 4294967295U, .completion_tokens = 2, .cached_tokens = 3});
    EXPECT_EQ(out, R"({"prompt_tokens":4294967295,"completion_tokens":2,"total_tokens":4294967297,)"
                   R"("prompt_tokens_details":{"cached_tokens":3}})");
}

}  // namespace
}  // namespace sutazai::api
