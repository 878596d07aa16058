#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/artifact_action.h"
#include "base/engine_stats.h"
#include "base/error.h"
#include "base/generation.h"
#include "ipc/engine_options.h"
#include "ipc/message_socket.h"
#include "ipc/open_work.h"
#include "ipc/process.h"
#include "ipc/signal.h"
#include "ipc/token_stream.h"
#include "ipc/watch.h"

/// The server's end of one engine process. Everything here lives on one I/O thread (the executor's); nothing locks.
namespace sutazai::ipc {

class EngineClient;

/// Ends the process of an engine whose owner goes away. The client itself stays until the process has been reaped.
struct EndEngine {
    std::shared_ptr<EngineClient> client;
    void operator()(EngineClient*);
};
using OwnedEngine = std::unique_ptr<EngineClient, EndEngine>;

/// One engine process: started, spoken to, watched, ended. The process is ended at the latest when its owner lets go of
/// it (SIGKILL), and dies with the server even if the server is killed.
class EngineClient final : public Generator, public std::enable_shared_from_this<EngineClient> {
  public:
    /// Called once, on the I/O thread, when the process has ended for whatever reason, after every open TokenStream
    /// got its kEngineDied error. `clean` is true after stop(), when the engine ended itself in time. Not called once
    /// the owner has let go.
    using ExitHandler = std::function<void(bool clean, std::string why)>;

    /// Starts a process that has its libraries and its backend and waits to be told what to load: start() takes it.
    /// kInternal when that does not work out. `arguments` follow those that every engine gets. Call it on a thread that
    /// lasts: the process is killed when the thread that started it ends.
    [[nodiscard]] static Result<OwnedEngine> stand_by(const boost::asio::any_io_executor& executor,
                                                      const std::string& executable,
                                                      std::vector<std::string> arguments);

    /// Starts a process, or takes one that stands by, and loads the model. kLoadFailed with the engine's own reason
    /// when that does not work out (the process is gone then). Cancelling the awaiting coroutine ends the process. Call
    /// it on a thread that lasts.
    [[nodiscard]] static boost::asio::awaitable<Result<OwnedEngine>> start(EngineOptions options,
                                                                           std::function<void(LoadProgress)> progress,
                                                                           OwnedEngine standby = {});

    EngineClient(const boost::asio::any_io_executor& executor, ChildProcess process, int pidfd, int socket_fd);
    EngineClient(const EngineClient&) = delete;
    EngineClient& operator=(const EngineClient&) = delete;
    ~EngineClient() override;

    [[nodiscard]] const ModelInfo& info() const { return info_; }
    [[nodiscard]] const EngineStats& stats() const { return stats_; }  ///< as of the engine's last step
    [[nodiscard]] int pid() const { return state_ == State::kGone ? 0 : process_.pid(); }
    [[nodiscard]] bool alive() const { return state_ == State::kServing; }  ///< has loaded its model and serves it
    /// Asks the kernel: the news of an end takes a moment to get here.
    [[nodiscard]] bool process_ended() const;
    [[nodiscard]] std::size_t open_requests() const { return work_.n_requests(); }

    /// Replaces the handler of before; null for none.
    void on_exit(ExitHandler handler);

    [[nodiscard]] std::vector<TokenStream> submit_all(GenerationRequest request) override;
    /// The same for a request of one answer.
    [[nodiscard]] TokenStream submit(GenerationRequest request);

    /// Saves kept prefixes as artifacts, restores them or removes old ones, beside running requests. The engine's own
    /// reason when it could not; kEngineDied when it ended meanwhile. A cancelled wait does not stop the engine's work.
    [[nodiscard]] boost::asio::awaitable<Result<ArtifactReport>> artifacts(ArtifactAction action);

    /// Asks the engine to finish what runs and exit; past `deadline` it is killed. Returns when the process is gone:
    /// false when it had to be killed.
    [[nodiscard]] boost::asio::awaitable<bool> stop(std::chrono::milliseconds deadline);

  private:
    friend struct EndEngine;
    using Clock = std::chrono::steady_clock;
    enum class State : std::uint8_t { kStandby, kLoading, kLoadFailed, kServing, kGone };

    [[nodiscard]] static Result<OwnedEngine> spawn(const boost::asio::any_io_executor& executor,
                                                   const std::string& executable,
                                                   const std::vector<std::string>& arguments);
    void load(const EngineOptions& options, std::function<void(LoadProgress)> progress);
    [[nodiscard]] static boost::asio::awaitable<Result<OwnedEngine>> loaded(OwnedEngine engine, EngineOptions options,
                                                                            Clock::time_point deadline);
    [[nodiscard]] bool waits_for_answer() const { return state_ == State::kLoading && !has_answered_; }
    [[nodiscard]] std::optional<Error> reason_to_refuse() const;
    void cancel(RequestId id);

    void listen();
    bool take(wire::FromEngine& message);
    bool take_while_loading(wire::FromEngine& message);
    bool take_while_serving(wire::FromEngine& message);
    void keep_watch();
    void look();
    void on_socket_end();
    void on_process_end();
    void kill(std::string why);
    void abandon();
    void change_state(State state);
    [[nodiscard]] boost::asio::awaitable<void> wait_gone(Clock::time_point deadline);

    boost::asio::any_io_executor executor_;
    std::string who_ = "the engine";  // "the engine for 'm'"
    std::function<void(LoadProgress)> progress_;
    ChildProcess process_;
    boost::asio::posix::stream_descriptor exit_;  // the process's pidfd
    std::shared_ptr<MessageSocket> socket_;
    boost::asio::steady_timer socket_end_grace_;

    std::chrono::milliseconds stall_timeout_{0};  // 0: never
    Watch watch_;
    boost::asio::steady_timer next_look_;
    bool watching_ = false;
    bool asked_at_rest_ = false;  // the last ping was sent while nothing was open

    State state_ = State::kStandby;
    bool has_answered_ = false;  // anything since it was told to load
    ModelInfo info_;
    EngineStats stats_;
    bool draining_ = false;
    std::string why_;  // the load failed or the process ended, as a sentence; empty before that
    ExitHandler on_exit_;
    Signal state_changed_;

    OpenWork work_;
};

}  // namespace sutazai::ipc
