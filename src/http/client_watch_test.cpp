#include "http/client_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kWhole = kCompletions;

/// The content is a command to the fake engine: "pace 900" takes most of a second or more.
std::string chat(std::string_view path, std::string_view command, std::string_view version = "1.1") {
    const std::string body =
        fmt::format(R"({{"model": "m", "messages": [{{"role": "user", "content": "{}"}}]}})", command);
    return fmt::format("POST {} HTTP/{}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", path, version, body.size(),
                       body);
}

class ClientWatchTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m", "slow.slow_load"});
        start();
    }
    bool one_runs() {
        return becomes_true([this] { return models_->open_requests() == 1; });
    }
};

TEST_F(ClientWatchTest, BytesBehindTheRequestHideNoEnd) {
    // One byte, a whole request, more than is read ahead.
    for (const std::string& more : {std::string("G"), chat(kWhole, "count 1"), std::string(100 << 10, 'x')}) {
        for (const std::string_view path : {kStream, kWhole}) {
            TestClient client(port_);
            ASSERT_TRUE(client.send(chat(path, "pace 1000000")));
            ASSERT_TRUE(one_runs()) << path;
            ASSERT_TRUE(client.send(more));
            std::this_thread::sleep_for(20ms);
            client.close();
            EXPECT_TRUE(all_requests_end()) << path << " " << more.size();
        }
    }
}

TEST_F(ClientWatchTest, BytesInTheSamePacketHideNoEnd) {
    for (const std::string_view path : {kStream, kWhole}) {
        TestClient client(port_);
        ASSERT_TRUE(client.send(chat(path, "pace 1000000") + "GET /hea"));
        ASSERT_TRUE(one_runs()) << path;
        client.close();
        EXPECT_TRUE(all_requests_end()) << path;
    }
}

TEST_F(ClientWatchTest, AHalfClosedClientGetsItsWholeAnswer) {
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kWhole, "pace 900")));
    client.half_close();
    Response response = client.receive();
    EXPECT_EQ(response.status, 100) << "asked whether it is still there";
    response = client.receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.whole);
    EXPECT_NE(response.body.find(" t899"), std::string::npos);
    EXPECT_TRUE(client.ends_within(5s)) << "nothing more can be asked";
}

TEST_F(ClientWatchTest, AHalfClosedClientGetsAQuickAnswerAndNothingElse) {
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kWhole, "count 3")));
    client.half_close();
    EXPECT_EQ(client.receive().status, 200);
}

TEST_F(ClientWatchTest, AHalfClosedClientGetsItsStream) {
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kStream, "pace 900")));
    client.half_close();
    const Response response = client.receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.whole);
    EXPECT_NE(response.body.find(R"("type": "complete")"), std::string::npos);
}

TEST_F(ClientWatchTest, AHalfClosedClientOfHttp10GetsItsAnswer) {
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kWhole, "pace 900", "1.0")));
    client.half_close();
    const Response response = client.receive();
    EXPECT_EQ(response.status, 200) << "HTTP/1.0 has no interim answers";
    EXPECT_NE(response.body.find(" t899"), std::string::npos);
}

TEST_F(ClientWatchTest, PipelinedRequestsOfAHalfClosedClientAreAllAnswered) {
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kWhole, "count 1") + chat(kStream, "count 2") + request_text("GET", "/health")));
    client.half_close();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(client.receive().status, 200) << i;
    EXPECT_TRUE(client.ends_within(5s));
}

TEST_F(ClientWatchTest, AClientThatHalfClosesFirstAndGoesThenIsNoticed) {
    for (const std::string_view path : {kStream, kWhole}) {
        TestClient client(port_);
        ASSERT_TRUE(client.send(chat(path, "pace 1000000")));
        ASSERT_TRUE(one_runs());
        client.half_close();
        std::this_thread::sleep_for(20ms);
        client.close();
        EXPECT_TRUE(all_requests_end()) << path;
    }
}

TEST_F(ClientWatchTest, AStreamThatHasNotBegunToGenerateIsProbedToo) {
    // Its head and start event are out; "hang 0" sends no token that could tell that the client has gone.
    TestClient client(port_);
    ASSERT_TRUE(client.send(chat(kStream, "hang 0")));
    EXPECT_TRUE(client.receive_some().starts_with("HTTP/1.1 200"));
    client.half_close();
    std::string more;
    while (!more.ends_with("3\r\n:\n\n\r\n")) {
        const std::string next = client.receive_some();
        ASSERT_FALSE(next.empty()) << more;
        more += next;
    }
    client.close();
    TestClient gone(port_);
    ASSERT_TRUE(gone.send(chat(kStream, "hang 0")));
    gone.receive_some();
    gone.close();
    EXPECT_TRUE(becomes_true([this] { return models_->open_requests() <= 1; }));
}

}  // namespace
}  // namespace sutazai::http
