#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ConnectionsTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m"});
    }
};

TEST_F(ConnectionsTest, LimitsBodiesAndHeads) {
    settings_.max_body_bytes = 1024;
    settings_.max_header_bytes = 1024;
    start();
    EXPECT_EQ(ask("POST", kStream, std::string(1025, ' ')).status, 413);
    EXPECT_EQ(ask("POST", kStream, std::string(1024, ' ')).status, 422) << "just fits, and is no JSON";
    TestClient chunked(port_);
    chunked.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 64; ++i) chunked.send("40\r\n" + std::string(64, ' ') + "\r\n");
    const Response response = chunked.receive();
    EXPECT_EQ(response.status, 413);
    EXPECT_NE(response.body.find(R"("param":null)"), std::string::npos) << "OpenAI's shape";
    TestClient head(port_);
    head.send("GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(2000, 'x') + "\r\n\r\n");
    EXPECT_EQ(head.receive().status, 431);
    TestClient announced(port_);
    announced.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        "Content-Length: 99999999999\r\n\r\n");
    EXPECT_EQ(announced.receive().status, 413) << "before a byte of it was sent";
}

TEST_F(ConnectionsTest, ReadsChunkedBodiesAndAsksForExpectedOnes) {
    start();
    const std::string body = chat_of("count 1");
    TestClient client(port_);
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(fmt::format("{:x};note=1\r\n{}\r\n", 10, body.substr(0, 10)));
    client.send(fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", body.size() - 10, body.substr(10)));
    EXPECT_EQ(client.receive().status, 200);
    client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
                            kCompletions, body.size()));
    EXPECT_EQ(client.receive().status, 100);
    client.send(body);
    EXPECT_EQ(client.receive().status, 200);
}

/// A body of POST `path` with more headers.
std::string raw_post(std::string_view path, std::string_view body, std::string_view headers) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path, headers,
                       body.size(), body);
}

TEST_F(ConnectionsTest, ReadsGzipBodiesWithinTheLimit) {
    settings_.max_body_bytes = 100'000;
    start();
    TestClient client(port_);
    client.send(raw_post(kCompletions, gzip_text(chat_of("count 2")), "Content-Encoding: gzip\r\n"));
    const Response good = client.receive();
    EXPECT_EQ(good.status, 200);
    EXPECT_NE(good.body.find(" t0 t1"), std::string::npos) << good.body;
    // 100 kB of spaces are 120 bytes.
    client.send(raw_post(kCompletions, gzip_text(chat_of("count 2") + std::string(100'000, ' ')),
                         "Content-Encoding: x-gzip\r\n"));
    const Response bomb = client.receive();
    EXPECT_EQ(bomb.status, 413);
    EXPECT_NE(bomb.body.find("MAX_BODY_BYTES"), std::string::npos) << bomb.body;
    client.send(raw_post(kCompletions, "{}", "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(client.receive().status, 400) << "no gzip; the connection goes on";
    for (const char* name : {"br", "deflate", "gzip, br"}) {
        TestClient other(port_);
        other.send(raw_post(kCompletions, chat_of("count 1"), fmt::format("Content-Encoding: {}\r\n", name)));
        const Response refused = other.receive();
        EXPECT_EQ(refused.status, 415) << name;
        EXPECT_EQ(refused.headers.at("accept-encoding"), "gzip");
        EXPECT_NE(refused.body.find(name), std::string::npos) << refused.body;
    }
    TestClient twice(port_);
    twice.send(raw_post(kCompletions, chat_of("count 1"), "Content-Encoding: gzip\r\nContent-Encoding: br\r\n"));
    EXPECT_EQ(twice.receive().status, 415);
}

TEST_F(ConnectionsTest, OfTransferCodingsOnlyChunkedIsTaken) {
    start();
    for (const char* headers :
         {"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"}) {
        TestClient client(port_);
        client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n0\r\n\r\n", kCompletions, headers));
        const Response refused = client.receive();
        EXPECT_EQ(refused.status, 501) << headers;
        EXPECT_NE(refused.body.find("gzip, chunked"), std::string::npos) << refused.body;
        EXPECT_NE(refused.body.find(R"("param":"Transfer-Encoding")"), std::string::npos) << refused.body;
        EXPECT_TRUE(client.ends_within(5s));
    }
}

TEST_F(ConnectionsTest, AByteOrderMarkIsPassedOver) {
    start();
    EXPECT_EQ(ask("POST", kCompletions, "\xEF\xBB\xBF" + chat_of("count 1")).status, 200);
    const Response wide = ask("POST", kCompletions, std::string_view("\xFF\xFE{\0}\0", 6));
    EXPECT_EQ(wide.status, 400);
    EXPECT_NE(wide.body.find("UTF-16"), std::string::npos) << wide.body;
}

TEST_F(ConnectionsTest, LargeBodiesAndAnswersGoBesideTheIoThread) {
    start();
    const std::string spaces(3 << 20, ' ');
    const Response large = ask("POST", kCompletions, chat_of("burst 200000") + spaces);
    ASSERT_EQ(large.status, 200);
    EXPECT_TRUE(large.whole);
    EXPECT_NE(large.body.find(" t199999\""), std::string::npos);
    EXPECT_EQ(ask("POST", kCompletions, chat_of("count 1", R"(, "temperature": 9)") + spaces).status, 400);
    EXPECT_EQ(ask("POST", kStream, chat_of("count 1") + spaces).status, 200);
    EXPECT_NE(ask("POST", "/v1/completions", R"({"model": "m", "prompt": "count 2"})" + spaces).body.find(" t0 t1"),
              std::string::npos);
    const Response batch = ask(
        "POST", kBatch, R"({"model": "m", "requests": [{"prompt": "burst 20000"}, {"prompt": "count 1"}]})" + spaces);
    EXPECT_NE(batch.body.find(R"("success_rate":1.0)"), std::string::npos);
    EXPECT_NE(batch.body.find(" t19999\""), std::string::npos);
}

TEST_F(ConnectionsTest, AClientMayLeaveWhileItsBodyIsRead) {
    start();
    for (int i = 0; i < 5; ++i) {
        TestClient client(port_);
        client.send(request_text("POST", kCompletions, chat_of("pace 1000000") + std::string(6 << 20, ' ')));
        std::this_thread::sleep_for(std::chrono::milliseconds(i));
    }
    EXPECT_TRUE(all_requests_end());
    EXPECT_EQ(ask("GET", "/health").status, 200);
}

TEST_F(ConnectionsTest, MalformedHttpIsRefused) {
    start();
    for (const char* bytes :
         {"GARBAGE\r\n\r\n", "GET /health HTTP/3.0\r\nHost: localhost\r\n\r\n", "GET /health HTTP/1.1\r\n\r\n",
          "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
          "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"}) {
        TestClient client(port_);
        client.send(bytes);
        EXPECT_EQ(client.receive().status, 400) << bytes;
    }
}

TEST_F(ConnectionsTest, SlowSendersAndIdleConnectionsAreCut) {
    settings_.read_timeout_s = 1;
    settings_.idle_timeout_s = 1;
    start();
    TestClient idle(port_);
    idle.send(request_text("GET", "/health"));
    EXPECT_EQ(idle.receive().status, 200);
    TestClient loris(port_);
    TestClient silent(port_);
    const auto begun = Clock::now();
    const std::string request = request_text("GET", "/health", "", "X-Slow: 123456789012345678901234567890\r\n");
    for (const char byte : request) {
        if (Clock::now() - begun > 3s || !loris.send({&byte, 1})) break;
        std::this_thread::sleep_for(50ms);
    }
    EXPECT_LT(Clock::now() - begun, 3s) << "each byte bought more time";
    EXPECT_TRUE(idle.ends_within(1s));
    EXPECT_TRUE(silent.ends_within(1s));
}

TEST_F(ConnectionsTest, AReaderThatTakesNothingIsCut) {
    settings_.write_timeout_s = 1;
    start();
    TestClient client(port_, 4096);
    for (int i = 0; i < 8; ++i) client.send(request_text("POST", kStream, chat_of("burst 200000")));
    std::this_thread::sleep_for(4s);
    int whole = 0;
    while (client.receive().whole) ++whole;
    EXPECT_LT(whole, 8);
}

TEST_F(ConnectionsTest, EmptyLinesBeforeARequestArePassedOver) {
    start();
    const std::string health = request_text("GET", "/health");
    TestClient client(port_);
    client.send("\r\n\r\n" + health);
    EXPECT_EQ(client.receive().status, 200);
    client.send(request_text("POST", kCompletions, chat_of("count 1")) + "\r\n" + health);
    EXPECT_EQ(client.receive().status, 200);
    EXPECT_EQ(client.receive().status, 200);
    for (const char* piece : {"\r", "\n", "\r", "\n\r\n"}) {
        client.send(piece);
        std::this_thread::sleep_for(20ms);
    }
    client.send(health);
    EXPECT_EQ(client.receive().status, 200);
    for (const std::string& wrong : {"\r\n\r\n\r\n\r\n\r\n" + health, "\r" + health, "\n\n" + health}) {
        TestClient other(port_);
        other.send(wrong);
        EXPECT_EQ(other.receive().status, 400) << "there is an end to it";
    }
}

TEST_F(ConnectionsTest, TrailersCountAsHeadersDo) {
    start();
    const std::string begun =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string whole =
        fmt::format("{}{:x}\r\n{}\r\n0\r\n", begun, chat_of("count 1").size(), chat_of("count 1"));
    TestClient good(port_);
    good.send(whole + "X-Sum: 1\r\n\r\n" + request_text("GET", "/health"));
    EXPECT_EQ(good.receive().status, 200);
    EXPECT_EQ(good.receive().status, 200);
    const auto field = [](std::size_t bytes) { return "X: " + std::string(bytes, 'x') + "\r\n"; };
    for (const std::string& trailers : {field(20'000) + "\r\n", field(70'000) + "\r\n", field(20'000)}) {
        TestClient client(port_);
        client.send(whole + trailers);
        const Response refused = client.receive();
        EXPECT_EQ(refused.status, 431) << trailers.size();
        EXPECT_NE(refused.body.find(R"("param":null)"), std::string::npos) << refused.body;
    }
}

TEST_F(ConnectionsTest, AFieldOf64KiBIsTooLongInEveryFamily) {
    settings_.max_header_bytes = 1 << 20;
    start();
    const std::string field = "X: " + std::string(70'000, 'x') + "\r\n";
    for (const std::string_view path : {kStream, kCompletions, std::string_view("/health")}) {
        TestClient client(port_);
        client.send(request_text("POST", path, "{}", field));
        const Response refused = client.receive();
        EXPECT_EQ(refused.status, 431) << path;
        EXPECT_NE(refused.body.find(path == kCompletions ? R"("param":null)" : R"("field":null)"), std::string::npos)
            << refused.body;
    }
}

TEST_F(ConnectionsTest, ASlowBodyHasNoMoreTimeThanItsRequest) {
    settings_.read_timeout_s = 1;
    start();
    TestClient drip(port_);
    drip.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n");
    const auto begun = Clock::now();
    while (Clock::now() - begun < 5s && drip.send(" ")) std::this_thread::sleep_for(50ms);
    EXPECT_LT(Clock::now() - begun, 3s);
}

TEST_F(ConnectionsTest, HalfSentBodiesShareTheirMemory) {
    settings_.max_body_bytes = 1 << 20;
    settings_.body_memory_bytes = 2 << 20;
    start();
    const std::string padding(900'000, ' ');
    const std::string head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    std::vector<std::unique_ptr<TestClient>> half;
    for (int i = 0; i < 8; ++i) {  // promises alone take nothing
        half.push_back(std::make_unique<TestClient>(port_));
        half.back()->send(fmt::format(fmt::runtime(head), kCompletions));
    }
    for (int i = 0; i < 2; ++i) {
        half[i]->send(padding);
        EXPECT_EQ(ask("POST", kCompletions, chat_of("count 1") + std::string(50'000, ' ')).status, 200) << "small";
    }
    int status = 0;
    Response refused;
    for (int i = 0; i < 100 && status != 503; ++i) {
        std::this_thread::sleep_for(10ms);
        refused = ask("POST", kCompletions, chat_of("count 1") + padding);
        status = refused.status;
    }
    EXPECT_EQ(status, 503) << "by its Content-Length, before it is sent";
    EXPECT_EQ(refused.headers.at("retry-after"), "1");
    EXPECT_NE(refused.body.find(R"("type":"server_error")"), std::string::npos) << refused.body;
    EXPECT_NE(refused.body.find("BODY_MEMORY_BYTES"), std::string::npos) << refused.body;
    half[2]->send(padding);
    EXPECT_EQ(half[2]->receive().status, 503) << "as it comes";
    TestClient chunked(port_);
    chunked.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                             kStream, padding.size()) +
                 padding);
    EXPECT_EQ(chunked.receive().status, 503);
    TestClient gzipped(port_);
    gzipped.send(raw_post(kCompletions, gzip_text(chat_of("count 1") + padding), "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(gzipped.receive().status, 503) << "when it is decoded";
    EXPECT_EQ(ask("GET", "/health").status, 200);
    half.clear();
    for (int i = 0; i < 500 && status != 200; ++i) {
        status = ask("POST", kCompletions, chat_of("count 1") + padding).status;
    }
    EXPECT_EQ(status, 200);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(ask("POST", kCompletions, chat_of("count 1") + padding).status, 200) << i;
}

}  // namespace
}  // namespace sutazai::http
