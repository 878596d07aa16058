#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

using namespace std::chrono_literals;

const std::string kHealth = request_text("GET", "/health");
const std::string kEndless = request_text(
    "POST", "/v1/chat/completions", R"({"model": "m", "messages": [{"role": "user", "content": "pace 1000000"}]})");

/// Who has a place among the connections, and who makes room.
class PlacesTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m"});
    }
    /// On a new connection; the answer's status, 0 for none.
    int health() { return ask("GET", "/health").status; }

    /// Connections in the order in which they were used last.
    std::vector<std::unique_ptr<TestClient>> clients(int n) {
        std::vector<std::unique_ptr<TestClient>> all;
        for (int i = 0; i < n; ++i) {
            all.push_back(std::make_unique<TestClient>(port_));
            all.back()->send(kHealth);
            EXPECT_EQ(all.back()->receive().status, 200) << i;
        }
        return all;
    }
};

TEST_F(PlacesTest, TheOneThatHasBeenIdleLongestMakesRoom) {
    settings_.max_connections = 4;
    start();
    auto idle = clients(4);
    idle[0]->send(kHealth);
    EXPECT_EQ(idle[0]->receive().status, 200) << "the second is the eldest now";
    TestClient silent(port_);
    EXPECT_TRUE(idle[1]->ends_within(5s));
    EXPECT_EQ(health(), 200);
    EXPECT_TRUE(idle[2]->ends_within(5s));
    EXPECT_FALSE(idle[3]->ends_within(0ms));
    for (TestClient* kept : {idle[3].get(), idle[0].get(), &silent}) {
        kept->send(kHealth);
        EXPECT_EQ(kept->receive().status, 200);
    }
}

TEST_F(PlacesTest, HalfAHeadIsIdleFromItsBeginning) {
    settings_.max_connections = 3;
    start();
    TestClient half(port_);
    half.send("GET /health HTTP/1.1\r\nHost: localhost\r\n");
    ASSERT_EQ(health(), 200) << "by now it has been read";
    auto idle = clients(2);
    half.send("X-Slow: 1\r\n");  // earns no time
    ASSERT_EQ(health(), 200);
    EXPECT_TRUE(half.ends_within(5s));
    idle[0]->send("GET /hea");  // begins now
    std::this_thread::sleep_for(50ms);
    TestClient newcomer(port_);
    newcomer.send(kHealth);
    EXPECT_EQ(newcomer.receive().status, 200);
    TestClient another(port_);
    EXPECT_TRUE(idle[1]->ends_within(5s));
    idle[0]->send("lth HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(idle[0]->receive().status, 200);
}

TEST_F(PlacesTest, BusyOnesStayAndThenNewcomersAreToldSo) {
    settings_.max_connections = 2;
    start();
    auto streams = std::make_unique<TestClient>(port_);
    streams->send(kEndless);
    ASSERT_TRUE(becomes_true([this] { return models_->open_requests() == 1; }));
    TestClient sends(port_);
    sends.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
    Response refused;
    for (int i = 0; i < 500 && refused.status != 503; ++i) refused = ask("GET", "/health");
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.headers.at("retry-after"), "1");
    EXPECT_NE(refused.body.find("MAX_CONNECTIONS"), std::string::npos) << refused.body;
    EXPECT_FALSE(sends.ends_within(0ms));
    streams.reset();
    int status = 0;
    for (int i = 0; i < 500 && status != 200; ++i) {
        std::this_thread::sleep_for(10ms);
        status = health();
    }
    EXPECT_EQ(status, 200);
    sends.send(std::string(99, ' '));
    EXPECT_EQ(sends.receive().status, 400) << "invalid JSON, read to its end";
}

TEST_F(PlacesTest, ManyIdleConnectionsKeepNobodyOut) {
    settings_.max_connections = 64;
    start();
    std::vector<std::unique_ptr<TestClient>> idle;
    for (int i = 0; i < 200; ++i) idle.push_back(std::make_unique<TestClient>(port_));
    for (int i = 0; i < 200; ++i) EXPECT_EQ(health(), 200);
}

TEST_F(PlacesTest, TheLimitOfOpenFilesBoundsThem) {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit low = before;
    low.rlim_cur = 128;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    start();
    setrlimit(RLIMIT_NOFILE, &before);
    auto idle = clients(64);
    EXPECT_FALSE(idle[0]->ends_within(0ms));
    EXPECT_EQ(health(), 200);
    EXPECT_TRUE(idle[0]->ends_within(5s)) << "half of them are left to engines and files";
}

}  // namespace
}  // namespace sutazai::http
