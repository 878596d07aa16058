#include "http/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <future>

#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class ServerTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m", "slow.slow_load"});
    }
    /// On the server's thread.
    models::ModelState state_of(std::string_view name) {
        const auto all = models_->status();
        return std::ranges::find(all, name, &models::ModelStatus::name)->state;
    }
};

TEST_F(ServerTest, StreamsTheSpecificationsEvents) {
    start();
    const Response response = ask("POST", kStream, chat_of("count 3"));
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.headers.at("content-type"), "text/event-stream");
    EXPECT_TRUE(response.whole);
    EXPECT_TRUE(response.body.starts_with(R"(data: {"type": "start", "model": "m", "timestamp": "20)"));
    const auto complete = response.body.find(R"(data: {"type": "complete", )");
    const auto last_chunk = response.body.find(R"("is_final": true})");
    ASSERT_NE(complete, std::string::npos);
    EXPECT_LT(last_chunk, complete);
    EXPECT_TRUE(
        response.body.ends_with(R"("finish_reason": "length", "usage": {"prompt_tokens":3,"completion_tokens":3,)"
                                R"("total_tokens":6,"prompt_tokens_details":{"cached_tokens":1}}})"
                                "\n\n"));
}

TEST_F(ServerTest, AnswersInOnePieceWhenAskedTo) {
    start();
    const Response own = ask("POST", kStream, chat_of("count 3", R"(, "stream": false)"));
    EXPECT_EQ(own.status, 200);
    EXPECT_TRUE(own.body.starts_with(R"({"model":"m","content":" t0 t1 t2","finish_reason":"length")")) << own.body;
    const Response openai = ask("POST", kCompletions, chat_of("count 2"));
    EXPECT_EQ(openai.status, 200);
    EXPECT_NE(openai.body.find(R"("message":{"role":"assistant","content":" t0 t1")"), std::string::npos)
        << openai.body;
    EXPECT_EQ(openai.headers.at("content-type"), "application/json");
}

TEST_F(ServerTest, StreamsOpenAiChunks) {
    start();
    const Response response =
        ask("POST", kCompletions, chat_of("count 2", R"(, "stream": true, "stream_options": {"include_usage": true})"));
    EXPECT_EQ(response.status, 200);
    EXPECT_NE(response.body.find(R"("delta":{"role":"assistant")"), std::string::npos);
    EXPECT_NE(response.body.find(R"("choices":[],"usage":{"prompt_tokens":3)"), std::string::npos) << response.body;
    EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, ABatchAnswersInTheOrderOfItsRequestsAndFailsByItem) {
    start();
    const Response response = ask("POST", kBatch,
                                  R"({"model": "m", "batch_size": 2, "requests": [{"prompt": "pace 9"}, )"
                                  R"({"prompt": "fail 1"}, {"prompt": "x", "top_k": -1}, {"prompt": "count 1"}]})");
    ASSERT_EQ(response.status, 200) << response.body;
    const auto has = [&](std::string_view text) {
        EXPECT_NE(response.body.find(text), std::string::npos) << text << "\n" << response.body;
    };
    has(R"({"batch_id":"batch_20)");
    has(R"("total_requests":4,"batch_size":2,"success_rate":0.5,"results":[)");
    has(R"({"request_index":0,"success":true,"response":" t0 t1 t2 t3 t4 t5 t6 t7 t8","finish_reason":"length")");
    has(R"({"request_index":1,"success":false,"error":{"message":"too long","code":"context_length_exceeded")");
    has(R"({"request_index":2,"success":false,"error":{"message":"requests[2].top_k must be between 0 and 10000)");
    has(R"({"request_index":3,"success":true,"response":" t0")");
    has(R"("usage":{"prompt_tokens":6,"completion_tokens":10,"total_tokens":16,)");
}

TEST_F(ServerTest, CompletionsComeByIndexWholeAndStreamed) {
    start();
    const std::string_view body = R"({"model": "m", "prompt": ["count 2", "burst 3"], "n": 2)";
    const Response whole = ask("POST", "/v1/completions", std::string(body) + "}");
    ASSERT_EQ(whole.status, 200) << whole.body;
    EXPECT_NE(whole.body.find(R"({"text":" t0 t1","index":1,)"), std::string::npos) << whole.body;
    EXPECT_NE(whole.body.find(R"({"text":" t0 t1 t2","index":2,)"), std::string::npos) << whole.body;
    EXPECT_NE(whole.body.find(R"("prompt_tokens":6,"completion_tokens":10)"), std::string::npos) << whole.body;
    const Response stream = ask("POST", "/v1/completions", std::string(body) + R"(, "stream": true})");
    EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n")) << stream.body;
    for (int index = 0; index < 4; ++index) {
        const std::string end =
            fmt::format(R"({{"text":"","index":{},"logprobs":null,"finish_reason":"length"}})", index);
        EXPECT_NE(stream.body.find(end), std::string::npos) << stream.body;
    }
    const Response failed = ask("POST", "/v1/completions", R"({"model": "m", "prompt": ["pace 100000", "fail 0"]})");
    EXPECT_EQ(failed.status, 400) << failed.body;
    EXPECT_TRUE(all_requests_end()) << "what failed ends the others";
}

TEST_F(ServerTest, ALeavingClientCancelsAllOfItsGenerations) {
    start();
    for (const auto& [path, body] :
         {std::pair(kBatch,
                    std::string_view(
                        R"({"model": "m", "requests": [{"prompt": "pace 100000"}, {"prompt": "pace 100000"}]})")),
          std::pair(std::string_view("/v1/completions"),
                    std::string_view(R"({"model": "m", "prompt": "pace 100000", "n": 3})")),
          std::pair(kCompletions, std::string_view(R"({"model": "m", "n": 3, "stream": true, )"
                                                   R"("messages": [{"role": "user", "content": "pace 100000"}]})"))}) {
        TestClient client(port_);
        client.send(request_text("POST", path, body));
        EXPECT_TRUE(becomes_true([this] { return models_->open_requests() > 0; })) << path;
        client.close();
        EXPECT_TRUE(all_requests_end()) << path;
    }
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrderOnOneConnection) {
    start();
    TestClient client(port_);
    client.send(request_text("GET", "/health") + request_text("POST", kCompletions, chat_of("count 1")) +
                request_text("POST", kStream, chat_of("count 2")) + request_text("GET", "/nowhere") +
                request_text("HEAD", "/health") + request_text("GET", "/v1/models/m"));
    EXPECT_EQ(client.receive().body, R"({"status": "ok"})");
    EXPECT_NE(client.receive().body.find("chat.completion"), std::string::npos);
    EXPECT_NE(client.receive().body.find("complete"), std::string::npos);
    EXPECT_EQ(client.receive().status, 404);
    const Response head = client.receive(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.headers.at("content-length"), "16");
    EXPECT_TRUE(client.receive().body.starts_with(R"({"id":"m","object":"model")"));
    client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.receive().headers.at("connection"), "close");
    EXPECT_TRUE(client.ends_within(1s));
}

TEST_F(ServerTest, RefusesInTheShapeOfTheFamily) {
    start();
    const Response missing = ask("GET", "/v1/none");
    EXPECT_EQ(missing.status, 404);
    EXPECT_NE(missing.body.find(R"("param":null)"), std::string::npos);
    const Response method = ask("GET", kStream);
    EXPECT_EQ(method.status, 405);
    EXPECT_EQ(method.headers.at("allow"), "POST, OPTIONS");
    const Response field = ask("POST", kStream, chat_of("count 1", R"(, "temperature": 3.5)"));
    EXPECT_EQ(field.status, 422);
    EXPECT_NE(field.body.find("temperature must be between 0 and 2 (got 3.5)"), std::string::npos);
    EXPECT_EQ(ask("POST", kCompletions, chat_of("count 1", R"(, "temperature": 3.5)")).status, 400);
    const Response model = ask("POST", kCompletions, R"({"model":"x","messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(model.status, 404);
    EXPECT_NE(model.body.find("model_not_found"), std::string::npos) << model.body;
    EXPECT_EQ(ask("GET", "/v1/models/x").status, 404);
    TestClient client(port_);
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
        "Content-Length: 2\r\n\r\n{}");
    EXPECT_EQ(client.receive().status, 415);
}

TEST_F(ServerTest, AStreamThatFailsBeforeItsFirstTokenIsRefused) {
    start();
    const Response response = ask("POST", kStream, chat_of("fail 0"));
    EXPECT_EQ(response.status, 400);
    EXPECT_NE(response.body.find("too long"), std::string::npos) << response.body;
    EXPECT_EQ(response.headers.at("retry-after"), "2");
}

TEST_F(ServerTest, AnEngineThatDiesEndsItsStreamsWithAnError) {
    start();
    TestClient client(port_);
    client.send(request_text("POST", kStream, chat_of("pace 1000000")));
    ASSERT_TRUE(becomes_true([this] { return models_->open_requests() == 1; }));
    EXPECT_TRUE(client.receive_some().starts_with("HTTP/1.1 200"));
    int pid = 0;
    becomes_true([&] {
        for (const models::ModelStatus& model : models_->status()) pid = std::max(pid, model.pid);
        return true;
    });
    kill(pid, SIGKILL);
    const auto killed = Clock::now();
    std::string rest;
    while (!rest.ends_with("\r\n0\r\n\r\n")) {
        const std::string more = client.receive_some();
        ASSERT_FALSE(more.empty()) << rest;
        rest += more;
    }
    EXPECT_LT(Clock::now() - killed, 1s);
    EXPECT_NE(rest.find(R"(data: {"type": "error", "error": ")"), std::string::npos) << rest;
    client.send(request_text("POST", kStream, chat_of("count 1")));
    EXPECT_EQ(client.receive().status, 200) << "the same connection, an engine started again";
}

TEST_F(ServerTest, AClientThatLeavesFreesItsWork) {
    start();
    for (const std::string_view path : {kStream, kCompletions}) {
        TestClient client(port_);
        client.send(request_text("POST", path, chat_of("pace 1000000")));
        ASSERT_TRUE(becomes_true([this] { return models_->open_requests() == 1; })) << path;
        client.close();
        EXPECT_TRUE(all_requests_end()) << path;
    }
    TestClient waiting(port_);
    waiting.send(request_text("POST", kCompletions,
                              R"({"model":"slow.slow_load","messages":[{"role":"user","content":"pace 100000"}]})"));
    EXPECT_TRUE(becomes_true([this] { return state_of("slow.slow_load") == models::ModelState::kLoading; }));
    waiting.close();
    EXPECT_EQ(ask("GET", "/health").status, 200);
    EXPECT_TRUE(becomes_true([this] { return state_of("slow.slow_load") == models::ModelState::kWarm; }));
    EXPECT_TRUE(all_requests_end()) << "left while the model was loading";
}

TEST_F(ServerTest, KeysAreAskedForEverywhereButOnHealth) {
    settings_.api_keys = {"secret"};
    start();
    EXPECT_EQ(ask("GET", "/health").status, 200);
    EXPECT_EQ(ask("GET", "/ready").status, 503) << "no model is warm yet";
    for (const char* path : {"/v1/models", "/api/v1/streaming/performance/metrics", "/no/such/route"}) {
        const Response response = ask("GET", path);
        EXPECT_EQ(response.status, 401) << path;
        EXPECT_EQ(response.headers.at("www-authenticate"), "Bearer");
    }
    EXPECT_EQ(ask("GET", "/v1/models", "", "Authorization: Bearer secret\r\n").status, 200);
    EXPECT_EQ(ask("GET", "/v1/models", "", "X-API-Key: secret\r\n").status, 200);
    EXPECT_EQ(ask("GET", "/v1/models", "", "X-API-Key: guess\r\n").status, 401);
}

TEST_F(ServerTest, OtherSitesAreKeptOut) {
    settings_.allowed_origins = {"https://app.example"};
    start();
    TestClient rebound(port_);
    rebound.send("GET /health HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    EXPECT_EQ(rebound.receive().status, 403);
    EXPECT_EQ(ask("GET", "/v1/models", "", "Origin: https://evil.example\r\n").status, 403);
    const Response listed = ask("GET", "/v1/models", "", "Origin: https://app.example\r\n");
    EXPECT_EQ(listed.status, 200);
    EXPECT_EQ(listed.headers.at("access-control-allow-origin"), "https://app.example");
    const Response preflight = ask("OPTIONS", kCompletions, "",
                                   "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
                                   "Access-Control-Request-Headers: content-type,x-stainless-lang\r\n");
    EXPECT_EQ(preflight.status, 204);
    EXPECT_EQ(preflight.headers.at("access-control-allow-methods"), "POST, OPTIONS");
    EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "content-type,x-stainless-lang");
}

TEST_F(ServerTest, SwitchesAreKept) {
    settings_.streaming_enabled = false;
    settings_.performance_monitoring = false;
    start();
    const Response stream = ask("POST", kStream, chat_of("count 1"));
    EXPECT_EQ(stream.status, 403);
    EXPECT_NE(stream.body.find("STREAMING_ENABLED"), std::string::npos);
    EXPECT_EQ(ask("POST", kStream, chat_of("count 1", R"(, "stream": false)")).status, 200);
    EXPECT_EQ(ask("GET", "/api/v1/streaming/performance/metrics").status, 403);
    EXPECT_EQ(ask("GET", "/ready").status, 200) << "the model is warm by now";
}

TEST_F(ServerTest, DrainingLetsStreamsFinishAndTakesNothingNew) {
    start();
    TestClient idle(port_);
    idle.send(request_text("GET", "/health"));
    EXPECT_EQ(idle.receive().status, 200);
    TestClient busy(port_);
    busy.send(request_text("POST", kStream, chat_of("pace 300")) + request_text("GET", "/health"));
    ASSERT_TRUE(becomes_true([this] { return models_->open_requests() == 1; }));
    const std::future<void> drained = drain(5s);
    EXPECT_TRUE(idle.ends_within(1s));
    const Response response = busy.receive();
    EXPECT_TRUE(response.whole);
    EXPECT_NE(response.body.find(R"("type": "complete")"), std::string::npos);
    EXPECT_EQ(drained.wait_for(1s), std::future_status::ready);
    EXPECT_THROW(TestClient{port_}, std::runtime_error);
}

TEST_F(ServerTest, DrainingCutsWhatTakesTooLong) {
    start();
    TestClient busy(port_);
    busy.send(request_text("POST", kStream, chat_of("pace 1000000")));
    ASSERT_TRUE(becomes_true([this] { return models_->open_requests() == 1; }));
    const auto asked = Clock::now();
    EXPECT_EQ(drain(200ms).wait_for(10s), std::future_status::ready);
    EXPECT_GE(Clock::now() - asked, 200ms) << "it was not given its time";
    const Response cut = busy.receive();
    EXPECT_EQ(cut.status, 200) << "it had begun";
    EXPECT_NE(cut.body.find(R"("content": " t0)"), std::string::npos) << cut.body.substr(0, 500);
    EXPECT_FALSE(cut.whole) << "a cut stream must not look like a whole one";
    EXPECT_EQ(cut.body.find(R"("type": "complete")"), std::string::npos);
    EXPECT_TRUE(all_requests_end());
}

}  // namespace
}  // namespace sutazai::http
