#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "ipc/engine_client.h"

/// What the tests of the engine client share. For tests only.
namespace sutazai::ipc {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline std::ptrdiff_t open_descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator{});
}

inline bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

inline EngineOptions options(const std::string& words = "ok") {
    EngineOptions out;
    out.executable = SUTAZAI_FAKE_ENGINE;
    out.model_name = "m";
    out.path = "/models/" + words + ".gguf";
    out.load_timeout = 10s;
    return out;
}

inline GenerationRequest request(std::string command) {
    GenerationRequest out;
    out.prompt = std::move(command);
    return out;
}

inline asio::awaitable<void> sleep_for(std::chrono::milliseconds duration) {
    asio::steady_timer timer(co_await asio::this_coro::executor, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

/// All updates of a stream in one.
inline asio::awaitable<GenerationUpdate> read_all(TokenStream& stream) {
    GenerationUpdate all;
    while (!all.last()) {
        GenerationUpdate update = co_await stream.next();
        all.delta.content += update.delta.content;
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

inline asio::awaitable<OwnedEngine> started(EngineOptions options) {
    auto client = co_await EngineClient::start(std::move(options), nullptr);
    if (!client) throw std::runtime_error(client.error().message);
    co_return std::move(*client);
}

}  // namespace sutazai::ipc
