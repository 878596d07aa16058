#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/channel.h"
#include "ipc/engine_client.h"
#include "ipc/frame.h"
#include "ipc/process.h"
#include "ipc/signal.h"
#include "ipc/watch.h"
#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// An engine process with its socket: reads, writes, watches. It keeps itself alive until the process has been reaped,
/// so that its owner may go at any time after calling kill(). One I/O thread.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    using Clock = std::chrono::steady_clock;
    using Executor = boost::asio::any_io_executor;
    enum class State : std::uint8_t { kStandby, kLoading, kLoadFailed, kServing, kGone };

    /// Starts the process, which then stands by.
    [[nodiscard]] static Result<std::shared_ptr<Connection>> open(const Executor& executor,
                                                                  const std::string& executable,
                                                                  const std::vector<std::string>& arguments);

    Connection(const Executor& executor, ChildProcess process);
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection();

    /// Sends Load; once, while the process stands by.
    void load(const EngineOptions& options, std::function<void(LoadProgress)> progress);

    [[nodiscard]] State state() const { return state_; }
    /// Has the engine said anything since it was told to load?
    [[nodiscard]] bool has_answered() const { return has_answered_; }
    /// Asks the kernel: the news of an end takes a moment to get here.
    [[nodiscard]] bool process_ended() const;
    [[nodiscard]] const ModelInfo& info() const { return info_; }
    [[nodiscard]] const EngineStats& stats() const { return stats_; }
    [[nodiscard]] int pid() const { return state_ == State::kGone ? 0 : process_.pid(); }
    [[nodiscard]] std::size_t open_requests() const { return channels_.size(); }
    /// Why the load failed or the process ended, as a sentence; empty before that.
    [[nodiscard]] const std::string& why() const { return why_; }

    void on_exit(EngineClient::ExitHandler handler);
    [[nodiscard]] std::vector<TokenStream> submit(GenerationRequest request);
    [[nodiscard]] boost::asio::awaitable<Result<ArtifactReport>> artifacts(ArtifactAction action);
    void drain();
    /// Ends the process. `why` is what streams and the exit handler are told instead of the signal.
    void kill(std::string why);
    /// kill() by an owner that goes away: streams end at once, neither handler nor `progress` is called any more.
    void abandon();

    /// Waits until the engine has said anything about a load, or is gone, or until `deadline`.
    [[nodiscard]] boost::asio::awaitable<void> wait_answered(Clock::time_point deadline);
    /// Waits until the state is no longer kLoading, or until `deadline`.
    [[nodiscard]] boost::asio::awaitable<void> wait_loaded(Clock::time_point deadline);
    /// Waits until the process is gone, or until `deadline`.
    [[nodiscard]] boost::asio::awaitable<void> wait_gone(Clock::time_point deadline);

  private:
    struct PendingReport {
        std::optional<Result<ArtifactReport>> result;
        Signal ready;
    };

    void send(const wire::ToEngine& message);
    void write_more();
    void wait_readable();
    std::optional<std::size_t> take_some();
    std::optional<std::size_t> read_some();
    bool parse();
    bool handle(wire::FromEngine& message);
    void deliver(const wire::StepOutput& step);
    void deliver(wire::ArtifactReport& report);
    void keep_watch();
    void look();
    void cancel(RequestId id);
    void on_socket_end();
    void watch_exit();
    void on_process_end();
    void end_streams(const std::string& why);
    void change_state(State state);

    Executor executor_;
    std::string who_ = "the engine";  // "the engine for 'm'"
    std::function<void(LoadProgress)> progress_;
    ChildProcess process_;
    boost::asio::local::stream_protocol::socket socket_;
    boost::asio::posix::stream_descriptor exit_;  // the process's pidfd
    boost::asio::steady_timer socket_end_grace_;

    std::chrono::milliseconds stall_timeout_{0};  // 0: never
    Watch watch_;
    boost::asio::steady_timer next_look_;
    bool watching_ = false;
    bool asked_at_rest_ = false;  ///< the last ping was sent while nothing was open

    State state_ = State::kStandby;
    bool has_answered_ = false;
    ModelInfo info_;
    EngineStats stats_;
    bool draining_ = false;
    bool talked_nonsense_ = false;  // no more is read from it
    std::string why_;
    EngineClient::ExitHandler on_exit_;
    Signal state_changed_;

    RequestId next_id_ = 1;
    std::unordered_map<RequestId, std::shared_ptr<TokenStream::Channel>> channels_;
    std::uint64_t next_report_id_ = 1;
    std::unordered_map<std::uint64_t, std::shared_ptr<PendingReport>> reports_;

    FrameDecoder decoder_;
    std::unique_ptr<char[]> arena_block_;  // where each received message is parsed into
    std::string outgoing_;
    std::string writing_;  // the buffer of the write in flight
    bool write_in_flight_ = false;
};

}  // namespace sutazai::ipc
