#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/artifact_action.h"
#include "base/error.h"
#include "base/generation.h"
#include "ipc/standby_engine.h"

/// The server's end of one engine process. Everything here lives on one I/O thread (the executor's); nothing locks.
namespace sutazai::ipc {

/// How an engine is started and what it is told to load. Mirrors wire::Load.
struct EngineOptions {
    std::string executable;         ///< path of the sutazai binary; run as `sutazai engine --fd N`
    std::string model_name;         ///< for log lines and error messages
    std::string path;               ///< GGUF file
    std::string architecture = {};  ///< what the file is said to hold, when that is known
    std::uint32_t vocabulary = 0;   ///< tokens; 0: not known
    std::uint32_t context_tokens = 0;
    std::uint32_t batch_size = 8;
    std::uint32_t batch_size_max = 32;
    std::uint32_t batch_tokens = 2048;
    std::uint32_t threads = 0;
    bool gpu = true;
    bool warmup = true;
    std::uint32_t batch_timeout_ms = 100;
    std::uint32_t max_queue = 512;
    std::uint32_t queue_timeout_ms = 0;  ///< 0: requests wait for ever
    std::uint32_t token_gap_ms = 50;
    bool prefix_sharing = true;
    std::string chat_template;                ///< llama.cpp's name of the one for files without; empty: none
    bool control_tokens_in_messages = false;  ///< a message's text may become control tokens
    std::uint64_t prefix_cache_bytes = 0;
    std::string artifact_folder;  ///< empty: no artifacts
    std::uint64_t artifact_bytes = 0;
    std::uint32_t artifact_retention_days = 7;
    std::chrono::milliseconds load_timeout{300'000};
    std::chrono::milliseconds stall_timeout{60'000};  ///< an engine that gets no further for so long is ended; 0: never
    std::vector<std::string> arguments = {};          ///< of the command line, after --fd N
};

/// What the engine said of the loaded model.
struct ModelInfo {
    std::uint32_t context_tokens = 0;        ///< KV cells in all
    std::uint32_t context_per_sequence = 0;  ///< tokens that one request can hold
    std::uint32_t training_context = 0;
    std::uint64_t weights_bytes = 0;
    std::uint64_t parameters = 0;
    std::string description;
    bool on_gpu = false;
    bool has_chat_template = false;
    std::chrono::microseconds load_time{0};
    std::uint64_t untouched_bytes = 0;  ///< memory that it has not touched yet and will grow by in use
};

struct EngineStats {
    std::uint32_t running = 0, waiting = 0, kv_cells_used = 0, kv_cells = 0;
    std::uint64_t prompt_tokens = 0, generation_tokens = 0, cached_tokens = 0, steps = 0, step_us = 0;
    std::uint64_t restored_tokens = 0, preemptions = 0, host_bytes = 0;
    std::uint32_t width = 0;
    std::uint32_t prefixes = 0;  ///< kept in memory
    std::uint64_t artifacts = 0, artifact_bytes = 0, artifact_tokens = 0;
    std::uint64_t broken_results = 0;  ///< that were no numbers
};

/// How far a load has come.
struct LoadProgress {
    float fraction = 0;    ///< of the weights, 0 to 1
    bool warming = false;  ///< they are there; the warm-up runs
};

/// The reader's half of one request. Destroying it before the last update cancels the request, whose sequence is freed
/// by the engine's next step. Move-only; outlives its client safely (it then ends with kEngineDied).
class TokenStream {
  public:
    struct Channel;  // shared with the client
    TokenStream() = default;
    explicit TokenStream(std::shared_ptr<Channel> channel);
    TokenStream(TokenStream&&) noexcept = default;
    TokenStream& operator=(TokenStream&&) noexcept;
    TokenStream(const TokenStream&) = delete;
    TokenStream& operator=(const TokenStream&) = delete;
    ~TokenStream();

    /// All that has arrived since the last call, merged into one update; waits while there is nothing. After an update
    /// with last() there are no more. One call at a time. Asio cancellation (of the awaiting coroutine) ends the wait
    /// with an operation_aborted exception and leaves the stream intact. (Of two operations raced with operator|| the
    /// later result is thrown away, which may be an update: race it only against what ends the request.)
    [[nodiscard]] boost::asio::awaitable<GenerationUpdate> next();

    /// Waits as next() does, but takes nothing: what may be raced against a timer without losing an update.
    [[nodiscard]] boost::asio::awaitable<void> ready();
    [[nodiscard]] bool has_update() const;  ///< would next() return at once

  private:
    Channel& channel();  ///< a default-made stream gets one that tells what is wrong

    std::shared_ptr<Channel> channel_;
};

/// One engine process: started, spoken to, watched, ended. The process is ended at the latest when this object is
/// destroyed (SIGKILL), and dies with the server even if the server is killed.
class EngineClient {
  public:
    /// Called once, on the I/O thread, when the process has ended for whatever reason, after every open TokenStream
    /// got its kEngineDied error. `clean` is true after stop(), when the engine ended itself in time. Not called once
    /// this object is destroyed.
    using ExitHandler = std::function<void(bool clean, std::string why)>;

    /// Starts a process, or takes one that stands by, and loads the model. kLoadFailed with the engine's own reason
    /// when that does not work out (the process is gone then). Cancelling the awaiting coroutine ends the process. Call
    /// it on a thread that lasts: the process is killed when the thread that started it ends.
    [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<EngineClient>>> start(
        EngineOptions options, std::function<void(LoadProgress)> progress,
        std::unique_ptr<StandbyEngine> standby = nullptr);

    virtual ~EngineClient() = default;

    [[nodiscard]] virtual const ModelInfo& info() const = 0;
    [[nodiscard]] virtual const EngineStats& stats() const = 0;  ///< as of the engine's last step
    [[nodiscard]] virtual int pid() const = 0;
    [[nodiscard]] virtual bool alive() const = 0;
    [[nodiscard]] virtual std::size_t open_requests() const = 0;

    virtual void on_exit(ExitHandler handler) = 0;

    /// A stream for each of the `n` answers. Never blocks and never fails: what goes wrong arrives through the streams.
    [[nodiscard]] virtual std::vector<TokenStream> submit_all(GenerationRequest request) = 0;
    /// The same for a request of one answer.
    [[nodiscard]] TokenStream submit(GenerationRequest request);

    /// Saves kept prefixes as artifacts, restores them or removes old ones, beside running requests. The engine's own
    /// reason when it could not; kEngineDied when it ended meanwhile. A cancelled wait does not stop the engine's work.
    [[nodiscard]] virtual boost::asio::awaitable<Result<ArtifactReport>> artifacts(ArtifactAction action) = 0;

    /// Asks the engine to finish what runs and exit; past `deadline` it is killed. Returns when the process is gone.
    [[nodiscard]] virtual boost::asio::awaitable<void> stop(std::chrono::milliseconds deadline) = 0;
};

}  // namespace sutazai::ipc
