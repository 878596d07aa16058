#include "http/telemetry.h"

#include <gtest/gtest.h>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

constexpr std::string_view kPath = "/api/v1/streaming/telemetry";

class TelemetryTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m"});
    }
    /// Read on until `text` has come; empty when it does not.
    static std::string read_until(TestClient& client, std::string_view text) {
        std::string all;
        while (all.find(text) == std::string::npos) {
            const std::string some = client.receive_some();
            if (some.empty()) return {};
            all += some;
        }
        return all;
    }
};

TEST_F(TelemetryTest, TellsEverythingAndThenWhatChanges) {
    start();
    TestClient watcher(port_);
    ASSERT_TRUE(watcher.send(request_text("GET", kPath)));
    const std::string first = read_until(watcher, "\n\r\n");
    EXPECT_NE(first.find("Content-Type: application/x-ndjson"), std::string::npos) << first;
    EXPECT_NE(read_until(watcher, R"("type":"delta")"), "");
    EXPECT_EQ(ask("POST", kCompletions, chat_of("count 3")).status, 200);
    EXPECT_NE(read_until(watcher, R"("name":"m")"), "");
}

TEST_F(TelemetryTest, NeedsAKeyAndCanBeSwitchedOff) {
    settings_.api_keys = {"secret"};
    settings_.performance_monitoring = false;
    start();
    EXPECT_EQ(ask("GET", kPath).status, 401);
    EXPECT_EQ(ask("GET", kPath, {}, "X-API-Key: secret\r\n").status, 403);
}

TEST_F(TelemetryTest, EndsWithTheServer) {
    start();
    TestClient watcher(port_);
    ASSERT_TRUE(watcher.send(request_text("GET", kPath)));
    EXPECT_NE(read_until(watcher, R"("type":"snapshot")"), "");
    auto drained = drain(std::chrono::seconds(10));
    EXPECT_NE(read_until(watcher, "0\r\n\r\n"), "");
    drained.wait();
}

}  // namespace
}  // namespace sutazai::http
