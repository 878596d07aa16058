// Processes that stand by: taken for a load, killed before, during and without one.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "ipc/testing/engine_client_fixture.h"

namespace sutazai::ipc {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<OwnedEngine> stand_by() {
    auto spawned = EngineClient::stand_by(co_await asio::this_coro::executor, SUTAZAI_FAKE_ENGINE, {});
    if (!spawned) throw std::runtime_error(spawned.error().message);
    co_return std::move(*spawned);
}

std::string state_of(int pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string id;
    std::string name;
    std::string state;
    in >> id >> name >> state;
    return state;
}

/// Runs until nothing is left to do, which includes the reaping of every process.
void run(asio::awaitable<void> work) {
    const auto n_descriptors = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator{});
    };
    const auto before = n_descriptors();
    {
        asio::io_context io;
        asio::co_spawn(io, std::move(work), [](const std::exception_ptr& thrown) {
            if (thrown) std::rethrow_exception(thrown);
        });
        io.run();
    }
    EXPECT_EQ(n_descriptors(), before);
    siginfo_t info{};
    EXPECT_NE(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0) << "a child is left, dead or alive";
}

TEST(StandbyEngine, IsTakenForALoad) {
    run([]() -> asio::awaitable<void> {
        auto standby = co_await stand_by();
        EXPECT_FALSE(standby->process_ended());
        const int pid = standby->pid();
        co_await sleep_for(20ms);
        const auto client = co_await EngineClient::start(options(), nullptr, std::move(standby));
        if (!client) throw std::runtime_error(client.error().message);
        EXPECT_EQ((*client)->pid(), pid);
        GenerationRequest request;
        request.prompt = "count 3";
        TokenStream stream = (*client)->submit(std::move(request));
        GenerationUpdate update;
        do update = co_await stream.next();
        while (!update.last());
        EXPECT_EQ(update.finished->usage.completion_tokens, 3U);
    }());
}

TEST(StandbyEngine, EndsWithItsOwner) {
    run([]() -> asio::awaitable<void> {
        const auto standby = co_await stand_by();
        standby->on_exit([](bool, const std::string&) { ADD_FAILURE() << "its owner knows"; });
        co_return;
    }());
}

TEST(StandbyEngine, TellsOfItsEnd) {
    run([]() -> asio::awaitable<void> {
        const auto standby = co_await stand_by();
        std::string told;
        standby->on_exit([&](bool, const std::string& why) { told = why; });
        ::kill(standby->pid(), SIGKILL);
        for (int i = 0; i < 1000 && told.empty(); ++i) co_await sleep_for(1ms);
        EXPECT_EQ(told, "the engine was killed by signal 9 (Killed)");
        EXPECT_TRUE(standby->process_ended());
        EXPECT_EQ(standby->pid(), 0);
    }());
}

TEST(StandbyEngine, ADeadOneIsNotUsed) {
    run([]() -> asio::awaitable<void> {
        auto standby = co_await stand_by();
        const int pid = standby->pid();
        ::kill(pid, SIGKILL);
        while (state_of(pid) != "Z") std::this_thread::sleep_for(1ms);  // nobody here has been told yet
        EXPECT_TRUE(standby->process_ended());
        const auto client = co_await EngineClient::start(options(), nullptr, std::move(standby));
        EXPECT_TRUE(client);
        if (client) {
            EXPECT_NE((*client)->pid(), pid);
        }
    }());
}

TEST(StandbyEngine, OneThatDiesBeforeItHeardOfTheLoadIsReplaced) {
    run([]() -> asio::awaitable<void> {
        auto standby = co_await stand_by();
        const int pid = standby->pid();
        co_await sleep_for(20ms);
        ::kill(pid, SIGSTOP);  // it is there, and hears nothing
        asio::co_spawn(
            co_await asio::this_coro::executor,
            [](int stopped) -> asio::awaitable<void> {
                co_await sleep_for(50ms);
                ::kill(stopped, SIGKILL);
            }(pid),
            [](const std::exception_ptr&) {});
        const auto client = co_await EngineClient::start(options(), nullptr, std::move(standby));
        EXPECT_TRUE(client) << (client ? "" : client.error().message);
        if (client) {
            EXPECT_NE((*client)->pid(), pid);
        }
    }());
}

TEST(StandbyEngine, OneThatHangsIsReplaced) {
    run([]() -> asio::awaitable<void> {
        auto standby = co_await stand_by();
        const int pid = standby->pid();
        co_await sleep_for(20ms);
        ::kill(pid, SIGSTOP);
        EngineOptions impatient = options();
        impatient.stall_timeout = 100ms;
        const auto client = co_await EngineClient::start(impatient, nullptr, std::move(standby));
        EXPECT_TRUE(client) << (client ? "" : client.error().message);
        if (client) {
            EXPECT_NE((*client)->pid(), pid);
        }
    }());
}

TEST(StandbyEngine, AModelThatKillsItsEngineKillsOneOnly) {
    const std::string log = testing::TempDir() + "standby-loads-" + std::to_string(::getpid());
    run([](std::vector<std::string> arguments) -> asio::awaitable<void> {
        auto spawned = EngineClient::stand_by(co_await asio::this_coro::executor, SUTAZAI_FAKE_ENGINE, arguments);
        const auto client = co_await EngineClient::start(options("killed_in_load"), nullptr, std::move(*spawned));
        EXPECT_FALSE(client);
        if (!client) {
            EXPECT_EQ(client.error().message, "the engine for 'm' was killed by signal 9 (Killed)");
        }
    }({"--log", log}));
    std::ifstream in(log);
    EXPECT_EQ(std::count(std::istreambuf_iterator<char>(in), {}, '\n'), 1);
    std::filesystem::remove(log);
}

TEST(StandbyEngine, AMissingBinaryIsAnError) {
    run([]() -> asio::awaitable<void> {
        const auto spawned = EngineClient::stand_by(co_await asio::this_coro::executor, "/no/such/sutazai", {});
        EXPECT_FALSE(spawned);
        if (!spawned) {
            EXPECT_TRUE(spawned.error().message.starts_with("'/no/such/sutazai' cannot be run"));
        }
        co_return;
    }());
}

}  // namespace
}  // namespace sutazai::ipc
