#include "ipc/engine_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "ipc/connection.h"

namespace sutazai::ipc {

namespace asio = boost::asio;

namespace {

using Clock = Connection::Clock;
constexpr std::chrono::seconds kExitAfterLoadFailed{2};
constexpr Clock::time_point kEver = Clock::time_point::max();

class Client : public EngineClient {
  public:
    Client(std::shared_ptr<Connection> connection, std::string model)
        : connection_(std::move(connection)), model_(std::move(model)) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() override { connection_->abandon(); }

    [[nodiscard]] const ModelInfo& info() const override { return connection_->info(); }
    [[nodiscard]] const EngineStats& stats() const override { return connection_->stats(); }
    [[nodiscard]] int pid() const override { return connection_->pid(); }
    [[nodiscard]] bool alive() const override { return connection_->state() == Connection::State::kServing; }
    [[nodiscard]] std::size_t open_requests() const override { return connection_->open_requests(); }
    void on_exit(ExitHandler handler) override { connection_->on_exit(std::move(handler)); }
    [[nodiscard]] std::vector<TokenStream> submit_all(GenerationRequest request) override {
        return connection_->submit(std::move(request));
    }

    [[nodiscard]] asio::awaitable<Result<ArtifactReport>> artifacts(ArtifactAction action) override {
        return connection_->artifacts(action);
    }

    [[nodiscard]] asio::awaitable<void> stop(std::chrono::milliseconds deadline) override {
        const auto connection = connection_;  // this client may be destroyed meanwhile
        const std::string model = model_;
        connection->drain();
        co_await connection->wait_gone(Clock::now() + deadline);
        connection->kill(fmt::format("the engine for '{}' did not finish in time and was ended", model));
        co_await connection->wait_gone(kEver);
    }

  private:
    std::shared_ptr<Connection> connection_;
    std::string model_;
};

/// What becomes of a load that is under way.
asio::awaitable<Result<std::unique_ptr<EngineClient>>> loaded(std::shared_ptr<Connection> connection,
                                                              std::unique_ptr<EngineClient> client,
                                                              EngineOptions options, Clock::time_point deadline) {
    co_await connection->wait_loaded(deadline);
    switch (connection->state()) {
        case Connection::State::kServing: co_return std::move(client);
        case Connection::State::kStandby:
        case Connection::State::kLoading:
            connection->kill(fmt::format("'{}' was not loaded within {} s", options.model_name,
                                         std::chrono::duration<double>(options.load_timeout).count()));
            break;
        case Connection::State::kLoadFailed: co_await connection->wait_gone(Clock::now() + kExitAfterLoadFailed); break;
        case Connection::State::kGone: break;
    }
    connection->kill("");
    co_await connection->wait_gone(kEver);
    co_return fail(ErrorCode::kLoadFailed, connection->why());
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<EngineClient>>> EngineClient::start(EngineOptions options,
                                                                           std::function<void(LoadProgress)> progress,
                                                                           std::unique_ptr<StandbyEngine> standby) {
    const Clock::time_point deadline = Clock::now() + options.load_timeout;
    if (standby != nullptr && standby->alive()) {
        const std::shared_ptr<Connection> connection = standby->release();
        auto client = std::make_unique<Client>(connection, options.model_name);
        connection->load(options, progress);
        // A live one answers at once. One that does not, or that ended before it knew of the model, has a reason of its
        // own.
        const bool waits_long = options.stall_timeout.count() == 0;
        co_await connection->wait_answered(waits_long ? deadline
                                                      : std::min(deadline, Clock::now() + options.stall_timeout));
        if (connection->has_answered()) co_return co_await loaded(connection, std::move(client), options, deadline);
    }
    auto opened = Connection::open(co_await asio::this_coro::executor, options.executable, options.arguments);
    if (!opened) {
        co_return fail(ErrorCode::kLoadFailed, fmt::format("the engine for '{}' could not be started: {}",
                                                           options.model_name, opened.error().message));
    }
    // From here on whatever ends this coroutine, cancellation too, ends the process.
    const std::shared_ptr<Connection> connection = std::move(*opened);
    auto client = std::make_unique<Client>(connection, options.model_name);
    connection->load(options, std::move(progress));
    co_return co_await loaded(connection, std::move(client), options, deadline);
}

TokenStream EngineClient::submit(GenerationRequest request) {
    request.n = 1;
    return std::move(submit_all(std::move(request)).front());
}

}  // namespace sutazai::ipc
