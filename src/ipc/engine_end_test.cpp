// How an engine ends: of itself, by others, with its server, and when it is told to.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "ipc/testing/engine_client_fixture.h"

namespace sutazai::ipc {
namespace {

using EngineEndTest = EngineClientTest;

// --- death

struct Death {
    const char* command;
    const char* why;
};

TEST_F(EngineEndTest, EveryDeathInMidStreamIsToldAtOnce) {
    const std::array<Death, 6> deaths{{
        {"die 5", "the engine for 'm' ended with exit code 3"},
        {"abort 5", "the engine for 'm' was killed by signal 9 (Killed)"},
        {"garbage 5", "the engine for 'm' sent what is no valid message and was ended"},
        {"oversized 5", "the engine for 'm' sent what is no valid message and was ended"},
        {"close 5", "the engine for 'm' closed its connection and was ended"},
        {"break 5", "the engine for 'm' ended: the decode thread: out of paper"},
    }};
    for (const Death& death : deaths) {
        SCOPED_TRACE(death.command);
        run([](Death death) -> asio::awaitable<void> {
            auto client = co_await started(options());
            std::string told;
            bool clean = true;
            client->on_exit([&](bool was_clean, std::string why) {
                clean = was_clean;
                told = std::move(why);
            });
            TokenStream victim = client->submit(request("pace 100000"));
            TokenStream killer = client->submit(request(death.command));
            const auto begin = Clock::now();
            const GenerationUpdate got = co_await read_all(killer);
            const GenerationUpdate other = co_await read_all(victim);
            EXPECT_LT(Clock::now() - begin, 1s);
            EXPECT_EQ(got.delta.content, " t0 t1 t2 t3 t4") << "what was sent before the end is not lost";
            EXPECT_EQ(got.error->code, ErrorCode::kEngineDied);
            EXPECT_EQ(got.error->message, death.why);
            EXPECT_EQ(other.error->message, death.why);
            EXPECT_EQ(told, death.why);
            EXPECT_FALSE(clean);
            EXPECT_FALSE(client->alive());
            EXPECT_EQ(client->pid(), 0);
            TokenStream late = client->submit(request("count 1"));
            EXPECT_EQ((co_await late.next()).error->code, ErrorCode::kEngineDied);
        }(death));
    }
}

TEST_F(EngineEndTest, AKillFromOutsideEndsAStreamWithinASecond) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("pace 100000"));
        (void)co_await stream.next();
        const auto begin = Clock::now();
        ::kill(client->pid(), SIGKILL);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.error->message, "the engine for 'm' was killed by signal 9 (Killed)");
        EXPECT_LT(Clock::now() - begin, 1s);
    }());
}

// --- hanging

EngineOptions impatient() {
    EngineOptions out = options();
    out.stall_timeout = 200ms;
    return out;
}

TEST_F(EngineEndTest, AnEngineThatHangsIsEndedAndItsRequestsAreTold) {
    const std::array<Death, 2> hangs{{
        {"hang 3", "the engine for 'm' hung and was ended: for 0.2 s it answered nothing"},
        {"spin 3", "the engine for 'm' hung and was ended: for 0.2 s it got no further with a step"},
    }};
    for (const Death& hang : hangs) {
        SCOPED_TRACE(hang.command);
        run([](Death hang) -> asio::awaitable<void> {
            auto client = co_await started(impatient());
            TokenStream stream = client->submit(request(hang.command));
            const auto begin = Clock::now();
            const GenerationUpdate got = co_await read_all(stream);
            EXPECT_GE(Clock::now() - begin, 200ms);
            EXPECT_LT(Clock::now() - begin, 5s);
            EXPECT_EQ(got.delta.content, " t0 t1 t2");
            EXPECT_EQ(got.error->code, ErrorCode::kEngineDied);
            EXPECT_EQ(got.error->message, hang.why);
        }(hang));
    }
}

TEST_F(EngineEndTest, AStoppedEngineCountsAsHanging) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(impatient());
        TokenStream stream = client->submit(request("pace 100000"));
        (void)co_await stream.next();
        ::kill(client->pid(), SIGSTOP);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.error->message, "the engine for 'm' hung and was ended: for 0.2 s it answered nothing");
    }());
}

TEST_F(EngineEndTest, AHangThatNobodyWaitsForAnyMoreIsNoticedToo) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(impatient());
        bool ended = false;
        client->on_exit([&](bool, const std::string&) { ended = true; });
        {
            TokenStream stream = client->submit(request("hang 1"));
            (void)co_await stream.next();
            co_await sleep_for(50ms);  // it hangs by now; a cancel that came before would spare it that
        }
        for (int i = 0; i < 5000 && !ended; ++i) co_await sleep_for(1ms);
        EXPECT_TRUE(ended);
    }());
}

TEST_F(EngineEndTest, AnEngineThatWorksLongerThanTheLimitIsLeftAlone) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(impatient());
        TokenStream stream = client->submit(request("toil 600"));
        EXPECT_TRUE((co_await read_all(stream)).finished);
        co_await sleep_for(400ms);  // idle
        EXPECT_TRUE(client->alive());
    }());
}

TEST_F(EngineEndTest, WithoutALimitNothingIsEnded) {
    run([]() -> asio::awaitable<void> {
        EngineOptions patient = options();
        patient.stall_timeout = 0ms;
        auto client = co_await started(patient);
        TokenStream stream = client->submit(request("spin 1"));
        (void)co_await stream.next();
        co_await sleep_for(100ms);
        EXPECT_TRUE(client->alive());
    }());
}

TEST_F(EngineEndTest, AStreamOutlivesItsClient) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("hang 2"));
        (void)co_await stream.next();
        client.reset();
        EXPECT_EQ((co_await read_all(stream)).error->code, ErrorCode::kEngineDied);
    }());
}

TEST_F(EngineEndTest, AnIoContextThatEndsFirstLeavesNothingBehind) {
    OwnedEngine client;
    TokenStream stream;
    {
        asio::io_context io;
        asio::co_spawn(
            io,
            [](OwnedEngine& client, TokenStream& stream) -> asio::awaitable<void> {
                client = co_await started(options("ignore_eof"));
                stream = client->submit(request("hang 2"));
                while (true) (void)co_await stream.next();
            }(client, stream),
            [](std::exception_ptr) {});
        const auto deadline = Clock::now() + 10s;
        while ((!client || client->open_requests() == 0) && Clock::now() < deadline) io.run_one_for(10ms);
        io.run_for(50ms);
        ASSERT_TRUE(client);
        EXPECT_GT(client->pid(), 0);
        stream = {};
        client.reset();
    }
    EXPECT_FALSE(has_children());
}

TEST_F(EngineEndTest, TheEngineDiesWithAKilledServer) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // the orphan would come to us
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const pid_t server = ::fork();
    if (server == 0) {
        asio::io_context io;
        asio::co_spawn(
            io,
            [](int fd) -> asio::awaitable<void> {
                const auto client = co_await started(options("ignore_eof"));
                const int pid = client->pid();
                (void)!::write(fd, &pid, sizeof pid);
                co_await sleep_for(60s);
            }(pipe[1]),
            [](std::exception_ptr) {});
        io.run();
        ::_exit(0);
    }
    int engine = 0;
    ASSERT_EQ(::read(pipe[0], &engine, sizeof engine), static_cast<ssize_t>(sizeof engine));
    ::kill(server, SIGKILL);
    ASSERT_EQ(::waitpid(server, nullptr, 0), server);
    int status = 0;
    ASSERT_EQ(::waitpid(engine, &status, 0), engine);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (const int fd : pipe) ::close(fd);
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// --- stopping

TEST_F(EngineEndTest, StopLetsRunningRequestsFinish) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        std::optional<bool> clean;
        client->on_exit([&](bool was_clean, const std::string&) { clean = was_clean; });
        TokenStream stream = client->submit(request("pace 100"));
        EXPECT_TRUE(co_await client->stop(10s));
        EXPECT_EQ(clean, true);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.n_tokens, 100U);
        EXPECT_TRUE(got.finished) << "words said just before the exit arrive";
        EXPECT_FALSE(client->alive());
        EXPECT_TRUE(co_await client->stop(10s));  // a second time is nothing
    }());
}

TEST_F(EngineEndTest, NothingIsTakenWhileStopping) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream running = client->submit(request("pace 100"));
        std::optional<Error> refused;
        asio::co_spawn(
            co_await asio::this_coro::executor,
            [](EngineClient& client, std::optional<Error>& refused) -> asio::awaitable<void> {
                co_await sleep_for(20ms);
                TokenStream late = client.submit(request("count 1"));
                refused = (co_await late.next()).error;
            }(*client, refused),
            [](std::exception_ptr e) { EXPECT_FALSE(e); });
        EXPECT_TRUE(co_await client->stop(10s));
        EXPECT_EQ(refused.value_or(Error{}).code, ErrorCode::kUnavailable);
    }());
}

TEST_F(EngineEndTest, PastTheDeadlineTheEngineIsKilled) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options("ignore_drain"));
        TokenStream stream = client->submit(request("hang 3"));
        std::optional<bool> clean;
        client->on_exit([&](bool was_clean, const std::string&) { clean = was_clean; });
        const auto begin = Clock::now();
        EXPECT_FALSE(co_await client->stop(200ms));
        EXPECT_GE(Clock::now() - begin, 200ms);
        EXPECT_LT(Clock::now() - begin, 1s);
        EXPECT_EQ(clean, false);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.error->message, "the engine for 'm' did not finish in time and was ended");
    }());
}

TEST_F(EngineEndTest, AClientDestroyedWhileStoppingIsFine) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options("ignore_drain"));
        asio::co_spawn(co_await asio::this_coro::executor, client->stop(100ms),
                       [](std::exception_ptr e, bool /*in_time*/) { EXPECT_FALSE(e); });
        co_await sleep_for(10ms);
        client.reset();
    }());
}

}  // namespace
}  // namespace sutazai::ipc
