// Loading, streams and cache actions of an engine that does what it should.
#include <csignal>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>

#include "ipc/testing/engine_client_fixture.h"

namespace sutazai::ipc {
namespace {

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
        EXPECT_EQ(got_a.delta.content, " t0 t1 t2");
        EXPECT_EQ(got_a.n_tokens, 3U);
        EXPECT_EQ(got_a.finished, (Finished{FinishReason::kLength, {3, 3, 1}, {}}));
        EXPECT_EQ(got_b.n_tokens, 500U);
        EXPECT_TRUE(got_b.delta.content.ends_with(" t498 t499"));
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
        EXPECT_EQ(got.delta.content, " t0 t1");
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
        EXPECT_EQ(got.delta.content, "");
        EXPECT_TRUE(got.finished);
    }());
}

TEST_F(EngineClientTest, ACancelledWaitLosesNothing) {
    asio::io_context io;
    asio::cancellation_signal cancel;
    OwnedEngine client;
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

// --- cache artifacts

TEST_F(EngineClientTest, ManagesTheCacheBesideRequests) {
    run([]() -> asio::awaitable<void> {
        const auto client = co_await started(options());
        TokenStream stream = client->submit(request("pace 50"));
        const auto saved = co_await client->artifacts(ArtifactAction::kSave);
        const auto restored = co_await client->artifacts(ArtifactAction::kRestore);
        const auto removed = co_await client->artifacts(ArtifactAction::kPrune);
        if (!saved || !restored || !removed) throw std::runtime_error("no report");
        EXPECT_EQ(saved->saved, 3U);
        EXPECT_EQ(saved->bytes, 4096U);
        EXPECT_EQ(restored->restored, 2U);
        EXPECT_EQ(removed->removed, 1U);
        EXPECT_EQ((co_await read_all(stream)).n_tokens, 50U);
    }());
}

TEST_F(EngineClientTest, AnActionThatFailsSaysWhy) {
    run([]() -> asio::awaitable<void> {
        const auto client = co_await started(options("no_artifacts"));
        const auto saved = co_await client->artifacts(ArtifactAction::kSave);
        EXPECT_EQ(saved.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(saved.error().message, "the disk is full");
        ::kill(client->pid(), SIGKILL);
        const auto after = co_await client->artifacts(ArtifactAction::kSave);
        EXPECT_EQ(after.error().code, ErrorCode::kEngineDied);
        EXPECT_EQ((co_await client->artifacts(ArtifactAction::kSave)).error().code, ErrorCode::kEngineDied);
    }());
}

}  // namespace
}  // namespace sutazai::ipc
