// Calls over real sockets, to a server that does as it is told.
#include "upstream/upstream.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sutazai::upstream {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// What it sends for one request, and what it does then.
struct Say {
    std::string bytes;
    enum class Then { kNext, kClose, kWait, kDrip } then = Then::kNext;
};

std::string answer(const std::string& body, const std::string& head = "HTTP/1.1 200 OK\r\n") {
    return fmt::format("{}Content-Length: {}\r\n\r\n{}", head, body.size(), body);
}
const std::string kHello =
    answer("{\"response\":\"hello\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\"}\n");

class FakeServer {
  public:
    explicit FakeServer(asio::io_context& io) : acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {
        asio::co_spawn(io, accept(), asio::detached);
    }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    void close() {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
    }

    std::deque<Say> script;  ///< one for each request; then kHello for ever
    int n_connections = 0;
    int n_requests = 0;
    int n_closed = 0;  ///< by the other side, while this one waited
    std::string last_head;

  private:
    asio::awaitable<void> accept() {
        for (;;) {
            auto [failure, socket] = co_await acceptor_.async_accept(kTuple);
            if (failure) co_return;
            ++n_connections;
            asio::co_spawn(acceptor_.get_executor(), serve(std::move(socket)), asio::detached);
        }
    }

    asio::awaitable<void> serve(tcp::socket socket) {
        std::string buffer;
        for (;;) {
            const auto [failure, n] =
                co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), "\r\n\r\n", kTuple);
            if (failure) co_return;
            last_head = buffer.substr(0, n);
            buffer.clear();  // requests are small: the body came along
            ++n_requests;
            Say say{kHello};
            if (!script.empty()) {
                say = std::move(script.front());
                script.pop_front();
            }
            (void)co_await asio::async_write(socket, asio::buffer(say.bytes), kTuple);
            if (say.then == Say::Then::kClose) co_return;
            if (say.then == Say::Then::kNext) continue;
            asio::steady_timer timer(acceptor_.get_executor());
            for (boost::system::error_code gone; say.then == Say::Then::kDrip && !gone;) {
                timer.expires_after(milliseconds(100));
                (void)co_await timer.async_wait(kTuple);
                gone = std::get<0>(co_await asio::async_write(socket, asio::buffer(" ", 1), kTuple));
            }
            char byte = 0;
            const auto [ended, ignored] = co_await socket.async_read_some(asio::buffer(&byte, 1), kTuple);
            if (ended) ++n_closed;
            co_return;
        }
    }

    tcp::acceptor acceptor_;
};

struct UpstreamTest : ::testing::Test {
    asio::io_context io{1};
    FakeServer server{io};
    std::shared_ptr<Upstream> upstream;

    static Limits quick() {
        Limits limits;
        limits.first_pause = milliseconds(5);
        limits.first_token = milliseconds(300);
        limits.idle = milliseconds(300);
        return limits;
    }
    void connect(const Limits& limits = quick(), std::string key = "") {
        const UpstreamAddress address{UpstreamKind::kOllama, false, "127.0.0.1", server.port(), ""};
        upstream =
            std::make_shared<Upstream>(io.get_executor(), Identity{"u", address, std::move(key)}, limits, "sutazai-me");
    }
    static GenerationRequest prompt() {
        GenerationRequest request;
        request.prompt = std::string("hi");
        request.max_tokens = 4;
        return request;
    }
    ipc::TokenStream ask(GenerationRequest request = prompt()) {
        return std::move(upstream->model("m")->submit_all(std::move(request)).front());
    }
    bool run_until(const std::function<bool()>& is_so, milliseconds limit = milliseconds(5000)) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (!is_so() && std::chrono::steady_clock::now() < deadline) {
            io.restart();
            io.run_one_for(milliseconds(20));
        }
        return is_so();
    }
    /// All of it.
    GenerationUpdate read(ipc::TokenStream stream, milliseconds limit = milliseconds(5000)) {
        GenerationUpdate all;
        bool ended = false;
        asio::co_spawn(io, collect(std::move(stream), all), [&](const std::exception_ptr& thrown) {
            EXPECT_FALSE(thrown);
            ended = true;
        });
        EXPECT_TRUE(run_until([&] { return ended; }, limit));
        return all;
    }
    static asio::awaitable<void> collect(ipc::TokenStream stream, GenerationUpdate& all) {
        while (!all.last()) {
            GenerationUpdate update = co_await stream.next();
            all.delta.append(std::move(update.delta));
            all.finished = std::move(update.finished);
            all.error = std::move(update.error);
        }
    }
    void expect_hello(const GenerationUpdate& got) {
        EXPECT_FALSE(got.error) << got.error->message;
        EXPECT_EQ(got.delta.content, "hello");
    }
};

TEST_F(UpstreamTest, AConnectionIsUsedAgain) {
    connect();
    for (int i = 0; i < 3; ++i) {
        expect_hello(read(ask()));
        ASSERT_TRUE(run_until([&] { return upstream->n_open() == 0; }));
    }
    EXPECT_EQ(server.n_requests, 3);
    EXPECT_EQ(server.n_connections, 1);
    EXPECT_EQ(upstream->health(), Health::kReachable);
    EXPECT_EQ(upstream->model("m")->stats.running, 0U);
}

TEST_F(UpstreamTest, AKeptConnectionThatWasClosedIsReplaced) {
    connect();
    // It answers, and closes at the next request without a byte.
    server.script = {{kHello}, {"", Say::Then::kClose}, {kHello}};
    expect_hello(read(ask()));
    ASSERT_TRUE(run_until([&] { return upstream->n_open() == 0; }));
    expect_hello(read(ask()));
    EXPECT_EQ(server.n_connections, 2);
}

TEST_F(UpstreamTest, AFreshConnectionThatIsCutIsNotTriedAgain) {
    connect();
    server.script = {{"", Say::Then::kClose}};
    const GenerationUpdate got = read(ask());
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->code, ErrorCode::kUpstreamFailed);
    EXPECT_NE(got.error->message.find("the upstream 'u'"), std::string::npos) << got.error->message;
    EXPECT_EQ(server.n_requests, 1);
}

TEST_F(UpstreamTest, WhatAsksForAPauseIsTriedAgainAfterIt) {
    connect();
    server.script = {{answer("", "HTTP/1.1 503 No\r\nRetry-After: 1\r\n")}, {kHello}};
    const auto before = std::chrono::steady_clock::now();
    expect_hello(read(ask()));
    EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(990));
    EXPECT_EQ(server.n_requests, 2);
}

TEST_F(UpstreamTest, WhatFailsWithoutAWordOfLaterIsNot) {
    connect();
    server.script = {{answer(R"({"error":"boom"})", "HTTP/1.1 503 No\r\n")}};
    const GenerationUpdate got = read(ask());
    ASSERT_TRUE(got.error);
    EXPECT_NE(got.error->message.find("boom"), std::string::npos);
    EXPECT_EQ(server.n_requests, 1);
    server.script = {{answer("", "HTTP/1.1 503 No\r\nRetry-After: 60\r\n")}};
    const GenerationUpdate later = read(ask());
    ASSERT_TRUE(later.error);
    EXPECT_EQ(later.error->retry_after_s, 60);
    EXPECT_EQ(server.n_requests, 2);
}

TEST_F(UpstreamTest, RefusedConnectionsAreTriedAFewTimesAndOnceWhenThatIsKnown) {
    connect();
    server.close();
    const GenerationUpdate first = read(ask());
    ASSERT_TRUE(first.error);
    EXPECT_EQ(first.error->code, ErrorCode::kUpstreamFailed);
    EXPECT_NE(first.error->message.find("refused"), std::string::npos) << first.error->message;
    EXPECT_EQ(upstream->health(), Health::kUnreachable);
    EXPECT_TRUE(read(ask()).error);
}

TEST_F(UpstreamTest, SilenceIsATimeout) {
    connect();
    server.script = {{"", Say::Then::kWait}};
    const GenerationUpdate got = read(ask());
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->code, ErrorCode::kUpstreamTimeout);
    // The same in the middle of an answer.
    server.script = {{"HTTP/1.1 200 OK\r\n\r\n{\"response\":\"a\",\"done\":false}\n", Say::Then::kWait}};
    const GenerationUpdate later = read(ask());
    ASSERT_TRUE(later.error);
    EXPECT_EQ(later.error->code, ErrorCode::kUpstreamTimeout);
    EXPECT_EQ(later.delta.content, "a") << "what came before is not lost";
}

TEST_F(UpstreamTest, AReaderWhoGoesAwayClosesTheConnection) {
    connect();
    server.script = {{"HTTP/1.1 200 OK\r\n\r\n{\"response\":\"a\",\"done\":false}\n", Say::Then::kWait}};
    {
        ipc::TokenStream stream = ask();
        ASSERT_TRUE(run_until([&] { return stream.has_update(); }));
    }
    EXPECT_TRUE(run_until([&] { return server.n_closed == 1 && upstream->n_open() == 0; }));
    EXPECT_EQ(upstream->pool().n_places_taken(), 0U);
}

TEST_F(UpstreamTest, WhatNobodyReadsIsNotReadEither) {
    connect();
    std::string flood = "HTTP/1.1 200 OK\r\n\r\n";
    const std::string line = "{\"response\":\"" + std::string(1000, 'x') + "\",\"done\":false}\n";
    for (int i = 0; i < 7'000; ++i) flood += line;  // 7 MB
    flood += "{\"response\":\"\",\"done\":true}\n";
    bool sent = false;
    server.script = {{std::move(flood), Say::Then::kClose}};
    GenerationRequest request = prompt();
    request.max_tokens = -1;
    ipc::TokenStream stream = ask(std::move(request));
    ASSERT_TRUE(run_until([&] { return stream.has_update(); }));
    run_until([&] { return sent; }, milliseconds(250));
    EXPECT_EQ(upstream->n_open(), 1U) << "it waits for its reader";
    const GenerationUpdate got = read(std::move(stream));
    ASSERT_FALSE(got.error) << got.error->message;
    EXPECT_EQ(got.delta.content.size(), 7'000'000U);
}

TEST_F(UpstreamTest, AnAnswerThatIsLongerThanWasAskedForIsEnded) {
    connect();
    std::string flood = "HTTP/1.1 200 OK\r\n\r\n";
    const std::string line = "{\"response\":\"" + std::string(64'000, 'x') + "\",\"done\":false}\n";
    for (int i = 0; i < 200; ++i) flood += line;
    for (const auto& [max_tokens, most] : {std::pair(4, 64 << 10), std::pair(1000, 256'000), std::pair(-1, 8 << 20)}) {
        server.script = {{flood, Say::Then::kWait}};
        GenerationRequest request = prompt();
        request.max_tokens = max_tokens;
        const GenerationUpdate got = read(ask(std::move(request)));
        ASSERT_TRUE(got.error) << max_tokens;
        EXPECT_EQ(got.error->code, ErrorCode::kUpstreamFailed);
        EXPECT_EQ(got.error->message,
                  fmt::format("the upstream 'u' does not serve the model: it goes on past {} bytes, "
                              "which is more than what was asked for can be",
                              most));
        EXPECT_TRUE(run_until([&] { return upstream->n_open() == 0; })) << "and the connection is closed";
    }
}

TEST_F(UpstreamTest, MoreThanThePlacesWaitTheirTurn) {
    Limits limits = quick();
    limits.connections = 1;
    limits.waiting = 1;
    connect(limits);
    ipc::TokenStream first = ask();
    ipc::TokenStream second = ask();
    const GenerationUpdate third = read(ask());
    ASSERT_TRUE(third.error);
    EXPECT_EQ(third.error->code, ErrorCode::kQueueFull);
    expect_hello(read(std::move(first)));
    expect_hello(read(std::move(second)));
    EXPECT_EQ(server.n_connections, 1);
}

TEST_F(UpstreamTest, OneWhoWaitsAndGoesAwayLeavesThePlaceToTheNext) {
    Limits limits = quick();
    limits.connections = 1;
    connect(limits);
    ipc::TokenStream first = ask();
    std::optional<ipc::TokenStream> second = ask();
    ipc::TokenStream third = ask();
    ASSERT_TRUE(run_until([&] { return upstream->pool().n_waiting() == 2; }));
    second.reset();
    expect_hello(read(std::move(first)));
    expect_hello(read(std::move(third)));
    EXPECT_TRUE(run_until([&] { return upstream->pool().n_places_taken() == 0; }));
}

TEST_F(UpstreamTest, HostileAnswersEndInAnError) {
    connect();
    const std::string ok = "HTTP/1.1 200 OK\r\n\r\n";
    for (const std::string& bytes :
         {std::string("garbage\r\n\r\n"), ok + "garbage\n", ok, ok + std::string(2 << 20, 'x'),
          "HTTP/1.1 200 OK\r\nX: " + std::string(64 << 10, 'x') + "\r\n\r\n",
          std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"),
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
          std::string("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
          ok + "{\"error\":\"\xff\"}\n", std::string("HTTP/1.1 500 x\r\n\r\n") + std::string(1 << 20, 'y')}) {
        server.script = {{bytes, Say::Then::kClose}};
        const GenerationUpdate got = read(ask());
        ASSERT_TRUE(got.error) << bytes.substr(0, 80);
        EXPECT_EQ(got.error->code, ErrorCode::kUpstreamFailed) << bytes.substr(0, 80);
        ASSERT_TRUE(run_until([&] { return upstream->n_open() == 0; }));
    }
    expect_hello(read(ask()));
}

TEST_F(UpstreamTest, TheKeyGoesToTheServerAndNowhereElse) {
    connect(quick(), "sk-secret");
    expect_hello(read(ask()));
    EXPECT_NE(server.last_head.find("Authorization: Bearer sk-secret\r\n"), std::string::npos);
    EXPECT_NE(server.last_head.find("Via: 1.1 sutazai-me\r\n"), std::string::npos);
    server.script = {{answer(R"({"error":{"message":"bad key sk-secret"}})", "HTTP/1.1 400 No\r\n")}};
    const GenerationUpdate got = read(ask());
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->message.find("sk-secret"), std::string::npos);
    EXPECT_EQ(upstream->identity().shown().find("sk-secret"), std::string::npos);

    // Nor in another place, nor by halves.
    server.script = {{answer(R"({"error":{"message":"bad","param":"sk-secret"}})", "HTTP/1.1 400 No\r\n")}};
    const GenerationUpdate named = read(ask());
    ASSERT_TRUE(named.error);
    EXPECT_EQ(named.error->message, "bad");
    EXPECT_EQ(named.error->field, "");
    const std::string long_words = std::string(595, 'x') + "sk-secret";
    server.script = {{answer(R"({"error":")" + long_words + "\"}", "HTTP/1.1 400 No\r\n")}};
    const GenerationUpdate cut = read(ask());
    ASSERT_TRUE(cut.error);
    EXPECT_EQ(cut.error->message, "its words hold a secret");
    server.script = {{"HTTP/1.1 200 OK\r\n\r\n{\"error\":\"" + long_words + "\"}\n", Say::Then::kClose}};
    const GenerationUpdate streamed = read(ask());
    ASSERT_TRUE(streamed.error);
    EXPECT_EQ(streamed.error->message.find("sk-se"), std::string::npos) << streamed.error->message;
    EXPECT_EQ(upstream->model("m")->last_error.find("sk-se"), std::string::npos);
}

TEST_F(UpstreamTest, ANameThatHoldsTheKeyIsNotListed) {
    connect(quick(), "sk-secret");
    server.script = {{answer(R"({"models":[{"name":"a"},{"name":"sk-secret"},{"name":"x-sk-secret"}]})")}};
    upstream->watch([] {});
    ASSERT_TRUE(run_until([&] { return !upstream->names().empty(); }));
    EXPECT_EQ(upstream->names(), std::vector<std::string>{"a"});
    upstream->stop();
}

TEST_F(UpstreamTest, AnErrorThatDripsIsNotWaitedFor) {
    connect();
    server.script = {{"HTTP/1.1 400 No\r\n\r\n", Say::Then::kDrip}};
    const auto before = std::chrono::steady_clock::now();
    const GenerationUpdate got = read(ask(), milliseconds(20'000));
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->message, "the upstream 'u' answers with status 400, and gives no reason");
    EXPECT_LT(std::chrono::steady_clock::now() - before, milliseconds(10'000));
    EXPECT_TRUE(run_until([&] { return upstream->n_open() == 0; }));

    // Nor is the rest of an answer that has its end.
    server.script = {
        {"HTTP/1.1 200 OK\r\n\r\n{\"response\":\"hello\",\"done\":false}\n"
         "{\"response\":\"\",\"done\":true}\n",
         Say::Then::kDrip}};
    expect_hello(read(ask()));
    EXPECT_TRUE(run_until([&] { return upstream->n_open() == 0; }));
}

TEST_F(UpstreamTest, WhatCameThroughHereIsNotSentAgain) {
    connect();
    GenerationRequest request = prompt();
    request.via = "1.1 other, 1.1 sutazai-me";
    const GenerationUpdate got = read(ask(std::move(request)));
    ASSERT_TRUE(got.error);
    EXPECT_NE(got.error->message.find("leads back"), std::string::npos);
    EXPECT_EQ(server.n_requests, 0);
    request = prompt();
    request.via = "1.1 other";
    expect_hello(read(ask(std::move(request))));
    EXPECT_NE(server.last_head.find("Via: 1.1 other, 1.1 sutazai-me\r\n"), std::string::npos);
}

TEST_F(UpstreamTest, AnswersOfOneRequestAreRequestsOfTheirOwn) {
    connect();
    GenerationRequest request = prompt();
    request.n = 3;
    auto streams = upstream->model("m")->submit_all(std::move(request));
    ASSERT_EQ(streams.size(), 3U);
    for (ipc::TokenStream& stream : streams) expect_hello(read(std::move(stream)));
    EXPECT_EQ(server.n_requests, 3);
}

TEST_F(UpstreamTest, TheListIsAskedForAgainAndAgain) {
    Limits limits = quick();
    limits.poll = milliseconds(50);
    connect(limits);
    server.script = {{answer(R"({"models":[{"name":"a"}]})")},
                     {answer(R"({"models":[{"name":"a"},{"name":"b"}]})")},
                     {answer("broken")},
                     {answer(R"({"models":[{"name":"c"}]})")}};
    int n_news = 0;
    upstream->watch([&] { ++n_news; });
    ASSERT_TRUE(run_until([&] { return upstream->names() == std::vector<std::string>{"a", "b"}; }));
    ASSERT_TRUE(run_until([&] { return upstream->health() == Health::kUnreachable; }));
    EXPECT_EQ(upstream->names().size(), 2U) << "what was known stays";
    ASSERT_TRUE(run_until([&] { return upstream->names() == std::vector<std::string>{"c"}; }));
    EXPECT_EQ(upstream->health(), Health::kReachable);
    EXPECT_EQ(n_news, 3);
    upstream->stop();
}

TEST_F(UpstreamTest, ACutEndsWhatRuns) {
    connect();
    server.script = {{"HTTP/1.1 200 OK\r\n\r\n{\"response\":\"a\",\"done\":false}\n", Say::Then::kWait}};
    ipc::TokenStream stream = ask();
    ASSERT_TRUE(run_until([&] { return stream.has_update(); }));
    upstream->cut({ErrorCode::kUnavailable, "The server is shutting down."});
    const GenerationUpdate got = read(std::move(stream));
    ASSERT_TRUE(got.error);
    EXPECT_EQ(got.error->code, ErrorCode::kUnavailable);
    EXPECT_TRUE(run_until([&] { return upstream->n_open() == 0; }));
}

}  // namespace
}  // namespace sutazai::upstream
