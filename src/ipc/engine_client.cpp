#include "ipc/engine_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "ipc/wire.h"

namespace sutazai::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kExitAfterLoadFailed{2};
constexpr std::chrono::milliseconds kSocketEndGrace{250};
constexpr std::size_t kTitleRoom = 200;  // the longest name of a model

}  // namespace

// --- starting

Result<OwnedEngine> EngineClient::spawn(const asio::any_io_executor& executor, const std::string& executable,
                                        const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail(ErrorCode::kInternal, fmt::format("no new socket: {}", std::strerror(errno)));
    }
    std::vector<std::string> command{executable, "engine", "--fd", std::to_string(ChildProcess::kSocketFd)};
    command.insert(command.end(), arguments.begin(), arguments.end());
    auto process = ChildProcess::spawn(command, ends[1]);
    ::close(ends[1]);
    auto pidfd = process ? process->open_pidfd() : std::unexpected(process.error());
    if (!pidfd) {
        ::close(ends[0]);
        return std::unexpected(pidfd.error());
    }
    auto client = std::make_shared<EngineClient>(executor, std::move(*process), *pidfd, ends[0]);
    client->listen();
    EngineClient* const engine = client.get();
    return OwnedEngine(engine, EndEngine{std::move(client)});
}

EngineClient::EngineClient(const asio::any_io_executor& executor, ChildProcess process, int pidfd, int socket_fd)
    : executor_(executor),
      process_(std::move(process)),
      exit_(executor, pidfd),
      socket_(std::make_shared<MessageSocket>(executor, socket_fd)),
      socket_end_grace_(executor),
      next_look_(executor),
      work_([this](RequestId id) { cancel(id); }) {}

/// Until the process has been reaped the wait for its end keeps the client; whatever the socket reports comes before.
void EngineClient::listen() {
    exit_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
        if (!error) self->on_process_end();
    });
    socket_->start({.take = [this](wire::FromEngine& message) { return take(message); },
                    .nonsense = [this](const std::string& what) { kill(who_ + " " + what); },
                    .end = [this] { on_socket_end(); }});
}

EngineClient::~EngineClient() {
    work_.end(who_ + " was ended");
    socket_->close();
}

void EndEngine::operator()(EngineClient*) {
    std::exchange(client, nullptr)->abandon();
}

Result<OwnedEngine> EngineClient::stand_by(const asio::any_io_executor& executor, const std::string& executable,
                                           std::vector<std::string> arguments) {
    // Room for the name of the model that it will have, which it then shows in their place.
    arguments.insert(arguments.end(), {"--standby", std::string(kTitleRoom, '.')});
    return spawn(executor, executable, arguments);
}

asio::awaitable<Result<OwnedEngine>> EngineClient::start(EngineOptions options,
                                                         std::function<void(LoadProgress)> progress,
                                                         OwnedEngine standby) {
    const Clock::time_point deadline = Clock::now() + options.load_timeout;
    if (standby != nullptr && !standby->process_ended()) {
        standby->on_exit(nullptr);
        standby->load(options, progress);
        // A live one answers at once. One that does not, or that ended before it knew of the model, has a reason of its
        // own.
        const bool waits_long = options.stall_timeout.count() == 0;
        const auto patience = waits_long ? deadline : std::min(deadline, Clock::now() + options.stall_timeout);
        while (standby->waits_for_answer() && Clock::now() < patience) {
            co_await standby->state_changed_.wait(patience);
        }
        if (standby->has_answered_) co_return co_await loaded(std::move(standby), std::move(options), deadline);
    }
    standby.reset();
    auto spawned = spawn(co_await asio::this_coro::executor, options.executable, options.arguments);
    if (!spawned) {
        co_return fail(ErrorCode::kLoadFailed, fmt::format("the engine for '{}' could not be started: {}",
                                                           options.model_name, spawned.error().message));
    }
    // From here on whatever ends this coroutine, cancellation too, ends the process.
    (*spawned)->load(options, std::move(progress));
    co_return co_await loaded(std::move(*spawned), std::move(options), deadline);
}

void EngineClient::load(const EngineOptions& options, std::function<void(LoadProgress)> progress) {
    if (state_ != State::kStandby) return;
    who_ = fmt::format("the engine for '{}'", options.model_name);
    progress_ = std::move(progress);
    stall_timeout_ = options.stall_timeout;
    change_state(State::kLoading);
    wire::ToEngine load;
    *load.mutable_load() = to_wire(options);
    (void)socket_->send(load);
}

/// What becomes of a load that is under way.
asio::awaitable<Result<OwnedEngine>> EngineClient::loaded(OwnedEngine engine, EngineOptions options,
                                                          Clock::time_point deadline) {
    while (engine->state_ == State::kLoading && Clock::now() < deadline) {
        co_await engine->state_changed_.wait(deadline);
    }
    switch (engine->state_) {
        case State::kServing: co_return std::move(engine);
        case State::kStandby:
        case State::kLoading:
            engine->kill(fmt::format("'{}' was not loaded within {} s", options.model_name,
                                     std::chrono::duration<double>(options.load_timeout).count()));
            break;
        case State::kLoadFailed: co_await engine->wait_gone(Clock::now() + kExitAfterLoadFailed); break;
        case State::kGone: break;
    }
    engine->kill("");
    co_await engine->wait_gone(Signal::kEver);
    co_return fail(ErrorCode::kLoadFailed, engine->why_);
}

bool EngineClient::process_ended() const {
    if (state_ == State::kGone) return true;
    pollfd exited{};
    exited.fd = const_cast<asio::posix::stream_descriptor&>(exit_).native_handle();
    exited.events = POLLIN;
    return ::poll(&exited, 1, 0) > 0;
}

void EngineClient::on_exit(ExitHandler handler) {
    on_exit_ = std::move(handler);
    if (state_ != State::kGone) return;
    asio::post(executor_, [self = shared_from_this()] {
        if (self->on_exit_) std::exchange(self->on_exit_, nullptr)(false, self->why_);
    });
}

// --- serving

std::optional<Error> EngineClient::reason_to_refuse() const {
    if (state_ != State::kServing) {
        return Error{ErrorCode::kEngineDied, why_.empty() ? who_ + " is not running" : why_};
    }
    if (draining_) return Error{ErrorCode::kUnavailable, who_ + " is being stopped"};
    return std::nullopt;
}

TokenStream EngineClient::submit(GenerationRequest request) {
    request.n = 1;
    return std::move(submit_all(std::move(request)).front());
}

std::vector<TokenStream> EngineClient::submit_all(GenerationRequest request) {
    OpenWork::Answers answers = work_.prepare(request.n);
    auto refusal = reason_to_refuse();
    if (!refusal) {
        wire::ToEngine message;
        *message.mutable_submit() = to_wire(answers.first, std::move(request));
        if (const auto sent = socket_->send(message); !sent) {
            refusal = sent.error();
            refusal->message =
                fmt::format("This request takes {} bytes on its way to the engine, which takes {} at once.",
                            message.ByteSizeLong(), kMaxFrameBytes);
        }
    }
    if (refusal) {
        answers.refuse(*refusal);
    } else {
        work_.add(answers);
        keep_watch();
    }
    return std::move(answers.streams);
}

void EngineClient::cancel(RequestId id) {
    wire::ToEngine message;
    message.mutable_cancel()->set_request_id(id);
    (void)socket_->send(message);
}

asio::awaitable<Result<ArtifactReport>> EngineClient::artifacts(ArtifactAction action) {
    const auto self = shared_from_this();
    if (auto refusal = reason_to_refuse()) co_return std::unexpected(std::move(*refusal));
    const auto [id, order] = work_.add_order();
    wire::ToEngine message;
    message.mutable_artifact_order()->set_id(id);
    message.mutable_artifact_order()->set_action(static_cast<std::uint32_t>(action));
    (void)socket_->send(message);
    keep_watch();
    while (!order->result) co_await order->ready.wait(Signal::kEver);
    co_return std::move(*order->result);
}

asio::awaitable<bool> EngineClient::stop(std::chrono::milliseconds deadline) {
    const auto self = shared_from_this();  // its owner may let go meanwhile
    const auto end = Clock::now() + deadline;
    if (!std::exchange(draining_, true)) {
        wire::ToEngine message;
        message.mutable_drain();
        (void)socket_->send(message);
    }
    co_await wait_gone(end);
    const bool in_time = state_ == State::kGone;
    kill(fmt::format("{} did not finish in time and was ended", who_));
    co_await wait_gone(Signal::kEver);
    co_return in_time;
}

// --- what it says

/// False when the message has no place in this state.
bool EngineClient::take(wire::FromEngine& message) {
    if (message.has_broken()) {
        kill(fmt::format("{} ended: {}", who_, message.broken().message()));
        return true;
    }
    switch (state_) {
        case State::kStandby: return false;
        case State::kLoading: return take_while_loading(message);
        case State::kServing: return take_while_serving(message);
        case State::kLoadFailed:
        case State::kGone: break;
    }
    return true;
}

bool EngineClient::take_while_loading(wire::FromEngine& message) {
    if (!std::exchange(has_answered_, true)) state_changed_.notify();
    if (message.has_progress()) {
        const float fraction = message.progress().fraction();
        if (progress_ && std::isfinite(fraction)) {
            progress_({std::clamp(fraction, 0.0F, 1.0F), message.progress().warming()});
        }
    } else if (message.has_loaded()) {
        info_ = from_wire(message.loaded());
        change_state(State::kServing);
    } else if (message.has_load_failed()) {
        why_ = std::move(*message.mutable_load_failed()->mutable_message());
        change_state(State::kLoadFailed);
    } else {
        return false;
    }
    return true;
}

bool EngineClient::take_while_serving(wire::FromEngine& message) {
    if (message.has_step()) {
        work_.deliver(message.step());
        if (message.step().has_stats()) stats_ = from_wire(message.step().stats());
    } else if (message.has_pong()) {
        watch_.answered(message.pong());
    } else if (message.has_artifact_report()) {
        work_.deliver(*message.mutable_artifact_report());
    } else {
        return false;
    }
    return true;
}

// --- whether it hangs

/// From when something is open until nothing is, and the engine has said that it rests: a request whose client has gone
/// away may be what it hangs at.
void EngineClient::keep_watch() {
    asked_at_rest_ = false;
    if (watching_ || stall_timeout_.count() == 0) return;
    watching_ = true;
    watch_ = {};
    look();
}

void EngineClient::look() {
    if (state_ != State::kServing) return;
    if (const auto hangs = watch_.look()) {
        kill(fmt::format("{} hung and was ended: for {} s it {}", who_,
                         std::chrono::duration<double>(stall_timeout_).count(), *hangs));
        return;
    }
    // Only what it says after the last cancel counts: before, it may not have come to what it hangs at.
    const bool nothing_open = work_.empty();
    if (nothing_open && asked_at_rest_ && watch_.at_rest()) {
        watching_ = false;
        return;
    }
    if (watch_.takes_ping()) {
        asked_at_rest_ = nothing_open;
        wire::ToEngine message;
        message.mutable_ping();
        (void)socket_->send(message);
    }
    next_look_.expires_after(stall_timeout_ / Watch::kLooks);
    next_look_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->look();
    });
}

// --- its end

/// The engine closed its end. Its exit, which says why, is due now; one that stays is not waited for.
void EngineClient::on_socket_end() {
    if (draining_) return;
    socket_end_grace_.expires_after(kSocketEndGrace);
    socket_end_grace_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->kill(self->who_ + " closed its connection and was ended");
    });
}

void EngineClient::on_process_end() {
    const ExitStatus status = process_.reap();
    socket_->read_rest();
    if (why_.empty()) why_ = fmt::format("{} {}", who_, status.describe());
    socket_->close();
    error_code ignored;
    exit_.close(ignored);
    socket_end_grace_.cancel();
    next_look_.cancel();
    progress_ = nullptr;
    stats_.running = stats_.waiting = stats_.kv_cells_used = 0;
    change_state(State::kGone);
    work_.end(why_);
    if (on_exit_) std::exchange(on_exit_, nullptr)(draining_ && status.success(), why_);
}

/// Ends the process. `why` is what streams and the exit handler are told instead of the signal.
void EngineClient::kill(std::string why) {
    if (state_ == State::kGone) return;
    if (why_.empty()) why_ = std::move(why);
    process_.kill();
}

/// Its owner goes away: streams end at once, and neither the handler nor `progress_` is called any more.
void EngineClient::abandon() {
    on_exit_ = nullptr;
    progress_ = nullptr;
    kill(who_ + " was ended");
    work_.end(why_);
    socket_->close();
}

void EngineClient::change_state(State state) {
    state_ = state;
    state_changed_.notify();
}

asio::awaitable<void> EngineClient::wait_gone(Clock::time_point deadline) {
    const auto self = shared_from_this();
    while (state_ != State::kGone && Clock::now() < deadline) co_await state_changed_.wait(deadline);
}

}  // namespace sutazai::ipc
