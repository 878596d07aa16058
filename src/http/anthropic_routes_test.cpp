#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

constexpr std::string_view kMessages = "/v1/messages?beta=true";
constexpr std::string_view kVersion = "anthropic-version: 2023-06-01\r\n";

class AnthropicRoutesTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m", "n"});
    }
};

std::string count(std::string_view n, std::string_view more = "") {
    return R"({"model":"m","max_tokens":50,"messages":[{"role":"user","content":"count )" + std::string(n) + "\"}]" +
           std::string(more) + "}";
}

TEST_F(AnthropicRoutesTest, AnswerInOnePieceAndAsEvents) {
    start();
    const Response whole = ask("POST", kMessages, count("2"));
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_EQ(whole.headers.at("content-type"), "application/json");
    EXPECT_NE(whole.body.find(R"("content":[{"type":"text","text":" t0 t1"}])"), std::string::npos) << whole.body;
    EXPECT_NE(
        whole.body.find(R"("usage":{"input_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":1,)"
                        R"("output_tokens":2})"),
        std::string::npos)
        << whole.body;
    const Response streamed = ask("POST", kMessages, count("2", R"(,"stream":true)"));
    EXPECT_EQ(streamed.headers.at("content-type"), "text/event-stream");
    EXPECT_TRUE(streamed.body.starts_with("event: message_start\ndata: {")) << streamed.body;
    EXPECT_TRUE(streamed.body.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")) << streamed.body;
    EXPECT_TRUE(whole.headers.at("request-id").starts_with("req_"));
    EXPECT_NE(whole.headers.at("request-id"), streamed.headers.at("request-id"));
}

TEST_F(AnthropicRoutesTest, TellOfMarksOfTheCache) {
    start();
    const Response marked = ask("POST", kMessages, count("2", R"(,"cache_control":{"type":"ephemeral"})"));
    EXPECT_NE(marked.body.find(R"("input_tokens":0,"cache_creation_input_tokens":2,"cache_read_input_tokens":1,)"),
              std::string::npos)
        << marked.body;
}

TEST_F(AnthropicRoutesTest, RefuseInTheirShape) {
    start();
    const Response refused = ask("POST", kMessages, R"({"messages":[]})");
    EXPECT_EQ(refused.status, 400);
    const std::string id = refused.headers.at("request-id");
    EXPECT_EQ(refused.body,
              R"-({"type":"error","error":{"type":"invalid_request_error","message":"messages must hold 1 to 4096 )-"
              R"-(messages (got 0)"},"request_id":")-" +
                  id + "\"}");
    EXPECT_EQ(ask("GET", kMessages).status, 405);
    const Response missing =
        ask("POST", kMessages, R"({"model":"x","max_tokens":1,"messages":[{"role":"user","content":"a"}]})");
    EXPECT_EQ(missing.status, 404);
    EXPECT_NE(missing.body.find("not_found_error"), std::string::npos) << missing.body;
}

TEST_F(AnthropicRoutesTest, AreToldFromOpenAisByTheVersion) {
    start();
    EXPECT_TRUE(ask("GET", "/v1/models").body.starts_with(R"({"object":"list")"));
    const Response page = ask("GET", "/v1/models?limit=1", {}, kVersion);
    EXPECT_TRUE(page.body.starts_with(R"({"data":[{"type":"model","id":"m")")) << page.body;
    EXPECT_TRUE(page.body.ends_with(R"("has_more":true,"first_id":"m","last_id":"m"})")) << page.body;
    const Response next = ask("GET", "/v1/models?limit=1&after_id=m", {}, kVersion);
    EXPECT_TRUE(next.body.ends_with(R"("has_more":false,"first_id":"n","last_id":"n"})")) << next.body;
    EXPECT_EQ(ask("GET", "/v1/models?limit=0", {}, kVersion).status, 400);
    EXPECT_TRUE(ask("GET", "/v1/models/n", {}, kVersion).body.starts_with(R"({"type":"model","id":"n")"));
    EXPECT_TRUE(ask("GET", "/v1/nothing", {}, kVersion).body.starts_with(R"({"type":"error")"));
    EXPECT_TRUE(ask("GET", "/v1/nothing").body.starts_with(R"({"error":)"));
    const Response chat = ask("POST", kCompletions, "{}", kVersion);
    EXPECT_TRUE(chat.body.starts_with(R"({"error":)")) << "a path of OpenAI's alone: " << chat.body;
}

TEST_F(AnthropicRoutesTest, TakeTheirKey) {
    settings_.api_keys = {"secret-key-1"};
    start();
    const Response refused = ask("POST", kMessages, count("1"));
    EXPECT_EQ(refused.status, 401);
    EXPECT_NE(refused.body.find("authentication_error"), std::string::npos) << refused.body;
    EXPECT_EQ(ask("POST", kMessages, count("1"), "x-api-key: secret-key-1\r\n").status, 200);
    EXPECT_EQ(ask("POST", kMessages, count("1"), "Authorization: Bearer secret-key-1\r\n").status, 200);
}

}  // namespace
}  // namespace sutazai::http
