#include "ipc/engine_client.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <exception>
#include <filesystem>
#include <optional>

namespace sutazai::ipc {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::ptrdiff_t open_descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator{});
}

bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

EngineOptions options(const std::string& words = "ok") {
    EngineOptions out;
    out.executable = SUTAZAI_FAKE_ENGINE;
    out.model_name = "m";
    out.path = "/models/" + words + ".gguf";
    out.load_timeout = 10s;
    return out;
}

GenerationRequest request(std::string command) {
    GenerationRequest out;
    out.prompt = std::move(command);
    return out;
}

asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

/// All updates of a stream in one.
asio::awaitable<GenerationUpdate> read_all(TokenStream& stream) {
    GenerationUpdate all;
    while (!all.last()) {
        GenerationUpdate update = co_await stream.next();
        all.text += update.text;
        all.n_tokens += update.n_tokens;
        all.finished = update.finished;
        all.error = std::move(update.error);
    }
    co_return all;
}

/// Every test ends with as many descriptors as it began with and without a child, dead or alive.
class EngineClientTest : public testing::Test {
  protected:
    void SetUp() override { descriptors_ = open_descriptors(); }
    void TearDown() override {
        EXPECT_EQ(open_descriptors(), descriptors_);
        EXPECT_FALSE(has_children());
    }

    /// Runs until nothing is left to do, which includes the reaping of every process.
    template <typename T>
    static T run(asio::awaitable<T> work) {
        asio::io_context io;
        std::exception_ptr thrown;
        if constexpr (std::is_void_v<T>) {
            asio::co_spawn(io, std::move(work), [&](std::exception_ptr e) { thrown = e; });
            io.run();
            if (thrown) std::rethrow_exception(thrown);
        } else {
            std::optional<T> result;
            asio::co_spawn(io, std::move(work), [&](std::exception_ptr e, T value) {
                thrown = e;
                result.emplace(std::move(value));
            });
            io.run();
            if (thrown) std::rethrow_exception(thrown);
            return std::move(*result);
        }
    }

    static Error start_error(EngineOptions options) {
        auto started = run(EngineClient::start(std::move(options), nullptr));
        EXPECT_FALSE(started);
        return started ? Error{} : started.error();
    }

  private:
    std::ptrdiff_t descriptors_ = 0;
};

asio::awaitable<std::unique_ptr<EngineClient>> started(EngineOptions options) {
    auto client = co_await EngineClient::start(std::move(options), nullptr);
    if (!client) throw std::runtime_error(client.error().message);
    co_return std::move(*client);
}

// --- loading

TEST_F(EngineClientTest, LoadsAndPassesOptionsAndProgress) {
    run([]() -> asio::awaitable<void> {
        float progress = 0;
        EngineOptions with = options();
        with.context_tokens = 4096;
        with.batch_size = 5;
        const auto client = co_await EngineClient::start(with, [&](LoadProgress now) { progress = now.fraction; });
        if (!client) throw std::runtime_error(client.error().message);
        EXPECT_EQ(progress, 0.5F);
        EXPECT_EQ((*client)->info().context_tokens, 4096U);
        EXPECT_EQ((*client)->info().context_per_sequence, 5U);
        EXPECT_EQ((*client)->info().description, "fake");
        EXPECT_TRUE((*client)->alive());
        EXPECT_EQ(::kill((*client)->pid(), 0), 0);
    }());
}

TEST_F(EngineClientTest, TellsOfTheWarmUp) {
    run([]() -> asio::awaitable<void> {
        std::vector<std::pair<float, bool>> seen;
        const auto client = co_await EngineClient::start(
            options("slow_warm_up"), [&](LoadProgress now) { seen.emplace_back(now.fraction, now.warming); });
        EXPECT_TRUE(client);
        EXPECT_EQ(seen, (std::vector<std::pair<float, bool>>{{0.5F, false}, {1.0F, true}}));
    }());
}

TEST_F(EngineClientTest, EveryWayThatALoadFailsIsExplained) {
    EXPECT_EQ(start_error(options("fail_load")).message, "the file has no tensors");
    EXPECT_EQ(start_error(options("die_in_load")).message, "the engine for 'm' ended with exit code 3");
    EXPECT_EQ(start_error(options("killed_in_load")).message, "the engine for 'm' was killed by signal 9 (Killed)");
    EXPECT_EQ(start_error(options("early_step")).message,
              "the engine for 'm' sent what is no valid message and was ended");
    EXPECT_EQ(start_error(options("fail_load")).code, ErrorCode::kLoadFailed);
    EngineOptions missing = options();
    missing.executable = "/nowhere/sutazai";
    EXPECT_EQ(start_error(missing).message,
              "the engine for 'm' could not be started: '/nowhere/sutazai' cannot be run: No such file or directory");
    EngineOptions no_program = options();
    no_program.executable = "/";
    EXPECT_EQ(start_error(no_program).message, "the engine for 'm' ended with exit code 127");
}

TEST_F(EngineClientTest, ALoadThatHangsIsEnded) {
    EngineOptions hanging = options("hang_load");
    hanging.load_timeout = 200ms;
    const auto begin = Clock::now();
    EXPECT_EQ(start_error(hanging).message, "'m' was not loaded within 0.2 s");
    EXPECT_LT(Clock::now() - begin, 5s);
}

TEST_F(EngineClientTest, CancellingALoadEndsTheProcess) {
    asio::io_context io;
    asio::cancellation_signal cancel;
    bool aborted = false;
    asio::co_spawn(
        io,
        EngineClient::start(options("hang_load"),
                            [&](LoadProgress) { cancel.emit(asio::cancellation_type::terminal); }),
        asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e, auto) { aborted = e != nullptr; }));
    io.run();
    EXPECT_TRUE(aborted);
    EXPECT_FALSE(has_children());
}

// --- streams

TEST_F(EngineClientTest, StreamsOfSeveralRequestsDoNotMix) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream a = client->submit(request("count 3"));
        TokenStream b = client->submit(request("count 500"));
        TokenStream c = client->submit(request("count 0"));
        EXPECT_EQ(client->open_requests(), 3U);
        const GenerationUpdate got_b = co_await read_all(b);
        const GenerationUpdate got_a = co_await read_all(a);
        const GenerationUpdate got_c = co_await read_all(c);
        EXPECT_EQ(got_a.text, " t0 t1 t2");
        EXPECT_EQ(got_a.n_tokens, 3U);
        EXPECT_EQ(got_a.finished, (Finished{FinishReason::kLength, {3, 3, 1}, {}}));
        EXPECT_EQ(got_b.n_tokens, 500U);
        EXPECT_TRUE(got_b.text.ends_with(" t498 t499"));
        EXPECT_TRUE(got_c.finished);
        EXPECT_EQ(client->open_requests(), 0U);
        EXPECT_GE(client->stats().steps, 500U);
        EXPECT_TRUE((co_await a.next()).error) << "reading past the end is an error, not a wait";
    }());
}

TEST_F(EngineClientTest, AStreamWithASlowReaderIsMerged) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("burst 1000"));
        while (client->open_requests() > 0) co_await sleep_for(1ms);
        const GenerationUpdate update = co_await stream.next();
        EXPECT_EQ(update.n_tokens, 1000U);
        EXPECT_TRUE(update.finished);
    }());
}

TEST_F(EngineClientTest, ARefusalByTheEngineArrivesWhole) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("fail 2"));
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.text, " t0 t1");
        EXPECT_EQ(got.error->code, ErrorCode::kContextOverflow);
        EXPECT_EQ(got.error->field, "messages");
        EXPECT_EQ(got.error->retry_after_s, 2);
        EXPECT_TRUE(client->alive());
    }());
}

TEST_F(EngineClientTest, DroppingAStreamCancelsItsRequestOnly) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream kept = client->submit(request("pace 100"));
        {
            TokenStream dropped = client->submit(request("hang 5"));
            (void)co_await dropped.next();
            EXPECT_EQ(client->open_requests(), 2U);
        }
        EXPECT_EQ(client->open_requests(), 1U);
        // The fake engine would hang after the fifth token, had it not been told.
        const GenerationUpdate got = co_await read_all(kept);
        EXPECT_EQ(got.n_tokens, 100U);
    }());
}

TEST_F(EngineClientTest, TokensOfUnknownRequestsAreIgnored) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("strangers 50"));
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.text, "");
        EXPECT_TRUE(got.finished);
    }());
}

TEST_F(EngineClientTest, ACancelledWaitLosesNothing) {
    asio::io_context io;
    asio::cancellation_signal cancel;
    std::unique_ptr<EngineClient> client;
    TokenStream stream;
    int aborted = 0;
    std::uint32_t n_tokens = 0;
    const auto reader = [&]() -> asio::awaitable<void> {
        for (;;) {
            const GenerationUpdate update = co_await stream.next();
            n_tokens += update.n_tokens;
            if (update.last()) co_return;
        }
    };
    const auto work = [&]() -> asio::awaitable<void> {
        client = co_await started(options());
        stream = client->submit(request("pace 300"));
        for (bool done = false; !done;) {
            std::optional<std::exception_ptr> result;
            asio::co_spawn(io, reader(),
                           asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr e) { result = e; }));
            for (int i = 0; i < 8 && !result; ++i) co_await sleep_for(2ms);
            cancel.emit(asio::cancellation_type::terminal);
            while (!result) co_await sleep_for(1ms);
            done = *result == nullptr;
            aborted += done ? 0 : 1;
        }
        client.reset();
    };
    asio::co_spawn(io, work(), [](std::exception_ptr e) { EXPECT_FALSE(e); });
    io.run();
    EXPECT_GT(aborted, 3);
    EXPECT_EQ(n_tokens, 300U);
}

TEST_F(EngineClientTest, ARequestThatIsTooLargeFailsAlone) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream large = client->submit(request(std::string(65 << 20, ' ')));
        TokenStream small = client->submit(request("count 1"));
        EXPECT_EQ((co_await large.next()).error->code, ErrorCode::kPayloadTooLarge);
        const GenerationUpdate got = co_await read_all(small);
        EXPECT_TRUE(got.finished);
    }());
}

// --- death

struct Death {
    const char* command;
    const char* why;
};

TEST_F(EngineClientTest, EveryDeathInMidStreamIsToldAtOnce) {
    const std::array<Death, 5> deaths{{
        {"die 5", "the engine for 'm' ended with exit code 3"},
        {"abort 5", "the engine for 'm' was killed by signal 9 (Killed)"},
        {"garbage 5", "the engine for 'm' sent what is no valid message and was ended"},
        {"oversized 5", "the engine for 'm' sent what is no valid message and was ended"},
        {"close 5", "the engine for 'm' closed its connection and was ended"},
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
            EXPECT_EQ(got.text, " t0 t1 t2 t3 t4") << "what was sent before the end is not lost";
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

TEST_F(EngineClientTest, AKillFromOutsideEndsAStreamWithinASecond) {
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

TEST_F(EngineClientTest, AStreamOutlivesItsClient) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        TokenStream stream = client->submit(request("hang 2"));
        (void)co_await stream.next();
        client.reset();
        EXPECT_EQ((co_await read_all(stream)).error->code, ErrorCode::kEngineDied);
    }());
}

TEST_F(EngineClientTest, AnIoContextThatEndsFirstLeavesNothingBehind) {
    std::unique_ptr<EngineClient> client;
    TokenStream stream;
    {
        asio::io_context io;
        asio::co_spawn(
            io,
            [](std::unique_ptr<EngineClient>& client, TokenStream& stream) -> asio::awaitable<void> {
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

TEST_F(EngineClientTest, TheEngineDiesWithAKilledServer) {
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

TEST_F(EngineClientTest, StopLetsRunningRequestsFinish) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options());
        std::optional<bool> clean;
        client->on_exit([&](bool was_clean, const std::string&) { clean = was_clean; });
        TokenStream stream = client->submit(request("pace 100"));
        co_await client->stop(10s);
        EXPECT_EQ(clean, true);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.n_tokens, 100U);
        EXPECT_TRUE(got.finished) << "words said just before the exit arrive";
        EXPECT_FALSE(client->alive());
        co_await client->stop(10s);  // a second time is nothing
    }());
}

TEST_F(EngineClientTest, NothingIsTakenWhileStopping) {
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
        co_await client->stop(10s);
        EXPECT_EQ(refused.value_or(Error{}).code, ErrorCode::kUnavailable);
    }());
}

TEST_F(EngineClientTest, PastTheDeadlineTheEngineIsKilled) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options("ignore_drain"));
        TokenStream stream = client->submit(request("hang 3"));
        std::optional<bool> clean;
        client->on_exit([&](bool was_clean, const std::string&) { clean = was_clean; });
        const auto begin = Clock::now();
        co_await client->stop(200ms);
        EXPECT_GE(Clock::now() - begin, 200ms);
        EXPECT_LT(Clock::now() - begin, 1s);
        EXPECT_EQ(clean, false);
        const GenerationUpdate got = co_await read_all(stream);
        EXPECT_EQ(got.error->message, "the engine for 'm' did not finish in time and was ended");
    }());
}

TEST_F(EngineClientTest, AClientDestroyedWhileStoppingIsFine) {
    run([]() -> asio::awaitable<void> {
        auto client = co_await started(options("ignore_drain"));
        asio::co_spawn(co_await asio::this_coro::executor, client->stop(100ms),
                       [](std::exception_ptr e) { EXPECT_FALSE(e); });
        co_await sleep_for(10ms);
        client.reset();
    }());
}

// --- cache artifacts

TEST_F(EngineClientTest, ManagesTheCacheBesideRequests) {
    run([]() -> asio::awaitable<void> {
        const auto client = co_await started(options());
        TokenStream stream = client->submit(request("pace 50"));
        const auto saved = co_await client->manage_cache(CacheAction::kSave);
        const auto loaded = co_await client->manage_cache(CacheAction::kRestore);
        const auto removed = co_await client->manage_cache(CacheAction::kPrune);
        if (!saved || !loaded || !removed) throw std::runtime_error("no report");
        EXPECT_EQ(saved->saved, 3U);
        EXPECT_EQ(saved->bytes, 4096U);
        EXPECT_EQ(loaded->loaded, 2U);
        EXPECT_EQ(removed->removed, 1U);
        EXPECT_EQ((co_await read_all(stream)).n_tokens, 50U);
    }());
}

TEST_F(EngineClientTest, AnActionThatFailsSaysWhy) {
    run([]() -> asio::awaitable<void> {
        const auto client = co_await started(options("no_artifacts"));
        const auto saved = co_await client->manage_cache(CacheAction::kSave);
        EXPECT_EQ(saved.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(saved.error().message, "the disk is full");
        ::kill(client->pid(), SIGKILL);
        const auto after = co_await client->manage_cache(CacheAction::kSave);
        EXPECT_EQ(after.error().code, ErrorCode::kEngineDied);
        EXPECT_EQ((co_await client->manage_cache(CacheAction::kSave)).error().code, ErrorCode::kEngineDied);
    }());
}

}  // namespace
}  // namespace sutazai::ipc
