#include "http/request_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

namespace sutazai::http {
namespace {

namespace wire = boost::beast::http;

constexpr std::string_view kHead = "POST /v1/completions?a=b HTTP/1.1\r\nHost: localhost\r\n";
constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n\r\n";

struct RequestParserTest : testing::Test {
    config::Settings settings;
    BodyBudget budget{1 << 20};

    /// The status that refuses `bytes`, given `step` bytes more at a time; 0 for none.
    static unsigned status_of(RequestParser& parser, std::string_view bytes, std::size_t step = 1 << 30) {
        parser.eager(true);
        std::size_t consumed = 0;
        for (std::size_t given = 0; given < bytes.size() && !parser.is_done();) {
            given = std::min(given + step, bytes.size());
            boost::system::error_code failure;
            consumed += parser.put(boost::asio::buffer(bytes.substr(consumed, given - consumed)), failure);
            if (!failure || failure == wire::error::need_more) continue;
            const auto refusal = parser.refusal(failure);
            return refusal ? refusal->status : 1;
        }
        return 0;
    }
    unsigned status_of(std::string_view bytes, std::size_t step = 1 << 30) const {
        RequestParser parser(settings, budget);
        return status_of(parser, bytes, step);
    }
};

TEST_F(RequestParserTest, TakesWhatMattersOfAHead) {
    RequestParser parser(settings, budget);
    const std::string text = std::string(kHead) +
                             "ORIGIN: https://a.example\r\nauthorization: Bearer k\r\nx-api-key: k2\r\n"
                             "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n"
                             "X-Other: v\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello";
    EXPECT_EQ(status_of(parser, text, 1), 0U);
    ASSERT_TRUE(parser.is_done());
    EXPECT_TRUE(parser.expects_continue());
    EXPECT_EQ(parser.target(), "/v1/completions?a=b");
    const auto request = parser.take_head();
    ASSERT_TRUE(request) << request.error().error.message;
    EXPECT_EQ(request->method, Method::kPost);
    EXPECT_EQ(request->path, "/v1/completions");
    EXPECT_EQ(request->query, "a=b");
    EXPECT_EQ(request->host, "localhost");
    EXPECT_EQ(request->origin, "https://a.example");
    EXPECT_EQ(request->authorization, "Bearer k");
    EXPECT_EQ(request->api_key, "k2");
    EXPECT_EQ(request->content_type, "application/json");
    EXPECT_EQ(request->content_encoding, "gzip, br");
    EXPECT_TRUE(request->has_body);
    EXPECT_TRUE(request->http_1_1);
    EXPECT_EQ(parser.take_body().text(), "hello");
}

TEST_F(RequestParserTest, AFieldOver64KiBIsRefusedWhateverMayBeOfAHead) {
    settings.max_header_bytes = 1 << 20;
    const auto field = [](std::size_t bytes) { return "X: " + std::string(bytes - 1, 'x') + "\r\n"; };
    const std::string just(kHead);
    EXPECT_EQ(status_of(just + field(RequestParser::kMostFieldBytes) + "\r\n"), 0U);
    EXPECT_EQ(status_of(just + field(RequestParser::kMostFieldBytes + 1) + "\r\n"), 431U);
    EXPECT_EQ(status_of(just + std::string(70'000, 'n') + ": x\r\n\r\n"), 431U);
    EXPECT_EQ(status_of(just + field(60'000) + field(60'000) + "\r\n"), 0U);
    EXPECT_EQ(status_of(just + std::string(kChunked) + "0\r\n" + field(70'000) + "\r\n"), 431U);
}

TEST_F(RequestParserTest, TrailersCountAsTheHeadDoes) {
    settings.max_header_bytes = 1024;
    const std::string head = std::string(kHead) + "X: " + std::string(500, 'x') + "\r\n" + std::string(kChunked);
    const auto trailers = [](int n) {
        std::string text = "2\r\n{}\r\n0;x=y\r\n";
        for (int i = 0; i < n; ++i) text += fmt::format("T{}: {}\r\n", i, std::string(100, 't'));
        return text + "\r\n";
    };
    for (const std::size_t step : {std::size_t{1}, std::size_t{1} << 30}) {
        RequestParser parser(settings, budget);
        EXPECT_EQ(status_of(parser, head + trailers(3), step), 0U);
        EXPECT_TRUE(parser.is_done());
        EXPECT_EQ(parser.take_body().text(), "{}");
        EXPECT_EQ(status_of(head + trailers(5), step), 431U);
    }
    RequestParser parser(settings, budget);
    EXPECT_EQ(status_of(parser, head + "0\r\nHost: evil.example\r\nAuthorization: Bearer k\r\nOrigin: o\r\n\r\n"), 0U);
    const auto request = parser.take_head();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->host + request->authorization + request->origin, "localhost") << "trailers say nothing";
}

TEST_F(RequestParserTest, BodiesAreHeldToTheirLimitAndToTheBudget) {
    settings.max_body_bytes = 2 << 20;
    const std::string megabyte(1 << 20, 'x');
    const auto sized = [](std::size_t bytes) { return fmt::format("{}Content-Length: {}\r\n\r\n", kHead, bytes); };
    EXPECT_EQ(status_of(sized(1 << 20) + megabyte), 0U);
    EXPECT_EQ(status_of(sized((2 << 20) + 1)), 413U);
    EXPECT_EQ(status_of(fmt::format("{}{}{:x}\r\n", kHead, kChunked, (2 << 20) + 1)), 413U);
    EXPECT_EQ(status_of(sized(2 << 20)), 0U) << "a promise costs nothing";
    EXPECT_EQ(budget.charged_bytes(), 0);
    RequestParser held(settings, budget);
    EXPECT_EQ(status_of(held, sized(2 << 20) + megabyte), 0U);
    EXPECT_FALSE(held.is_done());
    EXPECT_EQ(budget.charged_bytes(), (1 << 20) - BodyBudget::kFreeBytes);
    for (const std::string& body :
         {sized(1 << 20) + megabyte, fmt::format("{}{}{:x}\r\n{}", kHead, kChunked, 1 << 20, megabyte)}) {
        EXPECT_EQ(status_of(body), 503U);
        EXPECT_EQ(status_of(body, 50'000), 503U);
    }
    EXPECT_EQ(status_of(sized(60'000) + std::string(60'000, 'x')), 0U);
    { const HeldBody dropped = held.take_body(); }
    EXPECT_EQ(budget.charged_bytes(), 0);
    EXPECT_EQ(status_of(sized(1 << 20) + megabyte), 0U);
}

}  // namespace
}  // namespace sutazai::http
