#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kManage = "/api/v1/streaming/cache/manage";
constexpr std::string_view kPlain = "Authorization: Bearer plain\r\n";
constexpr std::string_view kAdmin = "Authorization: Bearer admin\r\n";

std::string chat(std::string_view more) {
    return fmt::format(R"({{"model": "m", "messages": [{{"role": "user", "content": "count 1"}}], {}}})", more);
}

/// Who may do what (docs/decisions/0015-keys-and-administrators.md).
class AdminTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m", "broken.fail_load"});
    }
    void start_with_keys() {
        settings_.api_keys = {"plain"};
        settings_.admin_api_keys = {"admin"};
        start();
    }
};

TEST_F(AdminTest, OrdersNeedAnAdministratorsKey) {
    start_with_keys();
    for (const char* action : {"warmup", "pin", "unpin", "save", "load", "prune", "evict"}) {
        const std::string order = fmt::format(R"({{"action": "{}", "models": ["m"]}})", action);
        const Response refused = ask("POST", kManage, order, kPlain);
        EXPECT_EQ(refused.status, 403) << action;
        EXPECT_NE(refused.body.find("ADMIN_API_KEYS"), std::string::npos) << refused.body;
        EXPECT_NE(refused.body.find(action), std::string::npos) << refused.body;
        EXPECT_EQ(ask("POST", kManage, order, kAdmin).status, 200) << action;
    }
    EXPECT_EQ(ask("POST", kManage, R"({"action": "status"})", kPlain).status, 200) << "looking changes nothing";
    EXPECT_EQ(ask("POST", kManage, R"({"action": "evict"})", kPlain).status, 422) << "it is no order yet";
}

TEST_F(AdminTest, WithoutKeysCallersOnThisMachineAreAdministrators) {
    start();
    EXPECT_EQ(ask("POST", kManage, R"({"action": "pin", "models": ["m"]})").status, 200);
    EXPECT_EQ(ask("POST", kStream, chat(R"("priority": -1000, "keep_alive": 0)")).status, 200);
}

TEST_F(AdminTest, WithKeysThisMachineIsNoReason) {
    settings_.api_keys = {"plain"};
    start();
    EXPECT_EQ(ask("POST", kManage, R"({"action": "pin", "models": ["m"]})", kPlain).status, 403);
}

TEST_F(AdminTest, AnAdministratorsKeyOpensEveryRouteAndClosesTheServerToOthers) {
    settings_.admin_api_keys = {"admin"};
    start();
    EXPECT_EQ(ask("GET", "/v1/models").status, 401);
    EXPECT_EQ(ask("GET", "/v1/models", "", kAdmin).status, 200);
    EXPECT_EQ(ask("POST", kStream, chat(R"("stream": false)"), kAdmin).status, 200);
}

TEST_F(AdminTest, PrioritiesBelowZeroAreForAdministrators) {
    start_with_keys();
    const Response refused = ask("POST", kStream, chat(R"("priority": -1)"), kPlain);
    EXPECT_EQ(refused.status, 422);
    EXPECT_NE(refused.body.find("priority must be between 0 and 1000 (got -1)"), std::string::npos) << refused.body;
    EXPECT_EQ(ask("POST", kStream, chat(R"("priority": 0)"), kPlain).status, 200);
    EXPECT_EQ(ask("POST", kStream, chat(R"("priority": 1000)"), kPlain).status, 200);
    EXPECT_EQ(ask("POST", kStream, chat(R"("priority": -1000)"), kAdmin).status, 200);
    EXPECT_EQ(ask("POST", "/v1/completions", R"({"model": "m", "prompt": "count 1", "priority": -5})", kPlain).status,
              400);
    EXPECT_EQ(ask("POST", "/v1/embeddings", R"({"model": "m", "input": "x", "priority": -5})", kPlain).status, 400);
}

TEST_F(AdminTest, InABatchOnlyTheEntryWithSuchAPriorityFails) {
    start_with_keys();
    const std::string_view body =
        R"({"model": "m", "requests": [{"prompt": "count 1"}, {"prompt": "count 2", "priority": -3}]})";
    const Response plain = ask("POST", kBatch, body, kPlain);
    ASSERT_EQ(plain.status, 200) << plain.body;
    EXPECT_NE(plain.body.find(R"("success_rate":0.5)"), std::string::npos) << plain.body;
    EXPECT_NE(plain.body.find("requests[1].priority must be between 0 and 1000 (got -3)"), std::string::npos)
        << plain.body;
    EXPECT_NE(ask("POST", kBatch, body, kAdmin).body.find(R"("success_rate":1.0)"), std::string::npos);
}

TEST_F(AdminTest, KeepAliveOfOthersKeysIsBounded) {
    start_with_keys();
    for (const char* bad : {"0", "59", "\"25h\""}) {
        const Response refused = ask("POST", kStream, chat(fmt::format(R"("keep_alive": {})", bad)), kPlain);
        EXPECT_EQ(refused.status, 422) << bad;
        EXPECT_NE(refused.body.find("keep_alive must be between 1m and 24h"), std::string::npos) << refused.body;
    }
    for (const char* good : {"-1", "60", "\"24h\""}) {
        EXPECT_EQ(ask("POST", kStream, chat(fmt::format(R"("keep_alive": {})", good)), kPlain).status, 200) << good;
    }
    EXPECT_EQ(ask("POST", kStream, chat(R"("keep_alive": 0)"), kAdmin).status, 200);
}

TEST_F(AdminTest, ForEverIsForAdministratorsWhereTheServerUnloads) {
    settings_.model_keep_alive = 5min;
    start_with_keys();
    EXPECT_EQ(ask("POST", kStream, chat(R"("keep_alive": -1)"), kPlain).status, 422);
    EXPECT_EQ(ask("POST", kStream, chat(R"("keep_alive": -1)"), kAdmin).status, 200);
}

TEST_F(AdminTest, WithoutAKeyReadinessIsABareStatus) {
    start_with_keys();
    EXPECT_EQ(
        ask("POST", kStream, R"({"model": "broken.fail_load", "messages": [{"role": "user", "content": "x"}]})", kPlain)
            .status,
        503);
    for (const std::string_view headers : {std::string_view(""), std::string_view("Authorization: Bearer guess\r\n")}) {
        EXPECT_EQ(ask("GET", "/ready", "", headers).body, R"({"status":"not ready"})") << headers;
        EXPECT_EQ(ask("GET", "/health", "", headers).body, R"({"status": "ok"})") << headers;
    }
    for (const std::string_view key : {kPlain, kAdmin}) {
        const Response details = ask("GET", "/ready", "", key);
        EXPECT_TRUE(details.body.starts_with(R"({"status":"not ready","models":[{"name":"broken.fail_load")"))
            << details.body;
    }
}

TEST_F(AdminTest, WithoutKeysAtAllReadinessTellsAll) {
    start();
    EXPECT_NE(ask("GET", "/ready").body.find(R"("name":"m")"), std::string::npos);
}

}  // namespace
}  // namespace sutazai::http
