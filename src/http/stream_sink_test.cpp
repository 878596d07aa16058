#include "http/stream_sink.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

namespace sutazai::http {
namespace {

namespace asio = boost::asio;

/// Keeps each write; fails all of them once told to.
class Writes final : public Transport {
  public:
    asio::awaitable<Result<void>> write(std::string_view bytes) override {
        if (broken) co_return fail(ErrorCode::kCancelled, "gone");
        all.emplace_back(bytes);
        co_return Result<void>{};
    }
    std::vector<std::string> all;
    bool broken = false;
};

Result<void> run(asio::awaitable<Result<void>> task) {
    asio::io_context io;
    Result<void> result = fail(ErrorCode::kInternal, "never ended");
    asio::co_spawn(io, std::move(task), [&](std::exception_ptr, Result<void> value) { result = std::move(value); });
    io.run();
    return result;
}

/// After the head, which differs from second to second.
std::string body_of(std::string_view response) {
    return std::string(response.substr(response.find("\r\n\r\n") + 4));
}

TEST(StreamSink, EachUpdateIsOneChunkInOneWrite) {
    Writes writes;
    Exchange exchange({}, writes);
    exchange.keep_alive = true;
    StreamSink writer(exchange, kServerSentEvents);
    writer.buffer() += "data: 1\n\n";
    ASSERT_TRUE(run(writer.flush()));
    writer.buffer() += "data: 2\n\n";
    writer.buffer() += "data: a longer one\n\n";
    ASSERT_TRUE(run(writer.flush()));
    writer.buffer() += "data: 3\n\n";
    ASSERT_TRUE(run(writer.finish()));
    ASSERT_EQ(writes.all.size(), 3U);
    EXPECT_TRUE(writes.all[0].starts_with("HTTP/1.1 200 OK\r\n"));
    for (const char* header :
         {"Content-Type: text/event-stream\r\n", "Cache-Control: no-cache\r\n", "X-Accel-Buffering: no\r\n",
          "Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\n", "X-Content-Type-Options: nosniff\r\n"}) {
        EXPECT_NE(writes.all[0].find(header), std::string::npos) << header;
    }
    EXPECT_EQ(body_of(writes.all[0]), "00000009\r\ndata: 1\n\n\r\n");
    EXPECT_EQ(writes.all[1], "0000001d\r\ndata: 2\n\ndata: a longer one\n\n\r\n");
    EXPECT_EQ(writes.all[2], "00000009\r\ndata: 3\n\n\r\n0\r\n\r\n");
}

TEST(StreamSink, LinesHaveATypeAndAProbeOfTheirOwn) {
    Writes writes;
    Exchange exchange({}, writes);
    exchange.keep_alive = true;
    StreamSink writer(exchange, kNdjson);
    writer.buffer() += "{}\n";
    ASSERT_TRUE(run(writer.flush()));
    EXPECT_NE(writes.all[0].find("Content-Type: application/x-ndjson\r\n"), std::string::npos);
    EXPECT_EQ(body_of(writes.all[0]), "00000003\r\n{}\n\r\n");
    EXPECT_EQ(exchange.probe(), "1\r\n \r\n") << "a blank before an object; an empty line would be none";
}

TEST(StreamSink, NothingIsBegunBeforeTheFirstUse) {
    Writes writes;
    Exchange exchange({}, writes);
    StreamSink writer(exchange, kServerSentEvents);
    EXPECT_FALSE(exchange.answered()) << "a refusal may still have a status of its own";
    writer.buffer() += "data: 1\n\n";
    EXPECT_TRUE(exchange.answered());
    EXPECT_TRUE(writes.all.empty());
}

TEST(StreamSink, AnEmptyFlushDoesNotEndTheStream) {
    Writes writes;
    Exchange exchange({}, writes);
    StreamSink writer(exchange, kServerSentEvents);
    ASSERT_TRUE(run(writer.flush()));
    EXPECT_EQ(body_of(writes.all[0]), "");
    ASSERT_TRUE(run(writer.finish()));
    EXPECT_EQ(writes.all[1], "0\r\n\r\n");
}

TEST(StreamSink, Http10GetsNoChunksAndAClosedConnection) {
    Writes writes;
    Exchange exchange({.http_1_1 = false}, writes);
    exchange.keep_alive = true;
    StreamSink writer(exchange, kServerSentEvents);
    writer.buffer() += "data: 1\n\n";
    ASSERT_TRUE(run(writer.finish()));
    EXPECT_FALSE(exchange.keep_alive);
    EXPECT_EQ(body_of(writes.all[0]), "data: 1\n\n");
    EXPECT_EQ(writes.all[0].find("Transfer-Encoding"), std::string::npos);
    EXPECT_NE(writes.all[0].find("Connection: close\r\n"), std::string::npos);
}

TEST(StreamSink, TellsThatTheClientIsGone) {
    Writes writes;
    writes.broken = true;
    Exchange exchange({}, writes);
    StreamSink writer(exchange, kServerSentEvents);
    writer.buffer() += "data: 1\n\n";
    EXPECT_EQ(run(writer.flush()).error().code, ErrorCode::kCancelled);
}

TEST(Exchange, AnswersInOneWrite) {
    Writes writes;
    Exchange exchange({}, writes);
    exchange.add_header("Vary", "Origin");
    ASSERT_TRUE(run(exchange.send_json(200, "{}")));
    ASSERT_EQ(writes.all.size(), 1U);
    EXPECT_TRUE(
        writes.all[0].ends_with("Vary: Origin\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"));
    EXPECT_EQ(exchange.status(), 200U);
}

TEST(Exchange, HeadGetsTheHeadOfGet) {
    Writes writes;
    Exchange exchange({.method = Method::kHead}, writes);
    ASSERT_TRUE(run(exchange.send_json(200, "{}")));
    EXPECT_TRUE(writes.all[0].ends_with("Content-Length: 2\r\n\r\n"));
}

TEST(Exchange, ErrorsCarryTheirHeaders) {
    Writes writes;
    Exchange full({}, writes);
    ASSERT_TRUE(run(full.send_error({ErrorCode::kQueueFull, "Full."})));
    EXPECT_TRUE(writes.all[0].starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    EXPECT_NE(writes.all[0].find("\r\nRetry-After: 1\r\n"), std::string::npos);
    Exchange unknown({}, writes);
    ASSERT_TRUE(run(unknown.send_error({ErrorCode::kUnauthorized, "Who?"})));
    EXPECT_NE(writes.all[1].find("\r\nWWW-Authenticate: Bearer\r\n"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::http
