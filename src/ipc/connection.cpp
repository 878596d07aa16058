#include "ipc/connection.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "ipc/wire.h"

namespace sutazai::ipc {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr int kReadsInARow = 8;  // then the thread's other work gets its turn
constexpr std::size_t kArenaBytes = std::size_t{64} << 10;
constexpr std::size_t kKeepOutgoingBytes = std::size_t{1} << 20;
constexpr std::chrono::milliseconds kSocketEndGrace{250};

}  // namespace

Result<std::shared_ptr<Connection>> Connection::open(const Executor& executor, const std::string& executable,
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
    auto self = std::make_shared<Connection>(executor, std::move(*process));
    self->exit_.assign(*pidfd);
    self->socket_.assign({}, ends[0]);
    self->socket_.non_blocking(true);
    self->watch_exit();
    self->wait_readable();
    return self;
}

Connection::Connection(const Executor& executor, ChildProcess process)
    : executor_(executor),
      process_(std::move(process)),
      socket_(executor),
      exit_(executor),
      socket_end_grace_(executor),
      next_look_(executor),
      arena_block_(std::make_unique_for_overwrite<char[]>(kArenaBytes)) {}

Connection::~Connection() {
    end_streams(who_ + " was ended");
}

void Connection::load(const EngineOptions& options, std::function<void(LoadProgress)> progress) {
    if (state_ != State::kStandby) return;
    who_ = fmt::format("the engine for '{}'", options.model_name);
    progress_ = std::move(progress);
    stall_timeout_ = options.stall_timeout;
    change_state(State::kLoading);
    wire::ToEngine load;
    *load.mutable_load() = to_wire(options);
    send(load);
}

bool Connection::process_ended() const {
    if (state_ == State::kGone) return true;
    pollfd exited{};
    exited.fd = const_cast<asio::posix::stream_descriptor&>(exit_).native_handle();
    exited.events = POLLIN;
    return ::poll(&exited, 1, 0) > 0;
}

void Connection::on_exit(EngineClient::ExitHandler handler) {
    on_exit_ = std::move(handler);
    if (state_ != State::kGone) return;
    asio::post(executor_, [self = shared_from_this()] {
        if (self->on_exit_) std::exchange(self->on_exit_, nullptr)(false, self->why_);
    });
}

std::vector<TokenStream> Connection::submit(GenerationRequest request) {
    const auto n = static_cast<RequestId>(std::max(request.n, 1));
    const RequestId first = std::exchange(next_id_, next_id_ + n);
    std::vector<std::shared_ptr<TokenStream::Channel>> channels;
    std::vector<TokenStream> streams;
    for (RequestId id = first; id < first + n; ++id) {
        channels.push_back(std::make_shared<TokenStream::Channel>([this, id] { cancel(id); }));
        streams.emplace_back(channels.back());
    }
    const auto refuse = [&](const Error& error) {
        for (const auto& channel : channels) channel->fail(error);
    };
    if (state_ != State::kServing) {
        refuse({ErrorCode::kEngineDied, why_.empty() ? who_ + " is not running" : why_});
        return streams;
    }
    if (draining_) {
        refuse({ErrorCode::kUnavailable, who_ + " is being stopped"});
        return streams;
    }
    wire::ToEngine message;
    *message.mutable_submit() = to_wire(first, std::move(request));
    if (auto appended = append_frame(outgoing_, message); !appended) {
        appended.error().message =
            fmt::format("This request takes {} bytes on its way to the engine, which takes {} at once.",
                        message.ByteSizeLong(), kMaxFrameBytes);
        refuse(appended.error());
        return streams;
    }
    for (RequestId i = 0; i < n; ++i) channels_.emplace(first + i, channels[i]);
    write_more();
    keep_watch();
    return streams;
}

void Connection::cancel(RequestId id) {
    if (channels_.erase(id) == 0) return;
    wire::ToEngine message;
    message.mutable_cancel()->set_request_id(id);
    send(message);
}

asio::awaitable<Result<ArtifactReport>> Connection::artifacts(ArtifactAction action) {
    const auto self = shared_from_this();
    if (state_ != State::kServing) {
        co_return fail(ErrorCode::kEngineDied, why_.empty() ? who_ + " is not running" : why_);
    }
    if (draining_) co_return fail(ErrorCode::kUnavailable, who_ + " is being stopped");
    const std::uint64_t id = next_report_id_++;
    wire::ToEngine message;
    message.mutable_artifact_order()->set_id(id);
    message.mutable_artifact_order()->set_action(static_cast<std::uint32_t>(action));
    const auto pending = std::make_shared<PendingReport>();
    reports_.emplace(id, pending);
    send(message);
    keep_watch();
    while (!pending->result) co_await pending->ready.wait(Signal::kEver);
    co_return std::move(*pending->result);
}

void Connection::drain() {
    if (std::exchange(draining_, true)) return;
    wire::ToEngine message;
    message.mutable_drain();
    send(message);
}

void Connection::kill(std::string why) {
    if (state_ == State::kGone) return;
    if (why_.empty()) why_ = std::move(why);
    process_.kill();
}

void Connection::abandon() {
    on_exit_ = nullptr;
    progress_ = nullptr;
    kill(who_ + " was ended");
    end_streams(why_);
    error_code ignored;
    socket_.close(ignored);
}

// --- writing

void Connection::send(const wire::ToEngine& message) {
    if (state_ == State::kGone) return;
    if (append_frame(outgoing_, message)) write_more();
}

void Connection::write_more() {
    if (write_in_flight_ || outgoing_.empty() || !socket_.is_open()) return;
    write_in_flight_ = true;
    writing_.clear();
    if (writing_.capacity() > kKeepOutgoingBytes) writing_.shrink_to_fit();
    std::swap(writing_, outgoing_);
    asio::async_write(socket_, asio::buffer(writing_), [self = shared_from_this()](error_code error, std::size_t) {
        self->write_in_flight_ = false;
        // A failed write means that the engine is going; its end is seen by the others.
        if (!error) self->write_more();
    });
}

// --- reading

void Connection::wait_readable() {
    socket_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](error_code error) {
        if (error || self->state_ == State::kGone) return;
        for (int i = 0; i < kReadsInARow; ++i) {
            const auto n_bytes = self->take_some();
            if (!n_bytes) return;
            if (*n_bytes < kReadBytes) break;
        }
        self->wait_readable();
    });
}

/// Reads what is there and handles it: how many bytes, or nothing when no more will be read.
std::optional<std::size_t> Connection::take_some() {
    try {
        const auto n_bytes = read_some();
        if (n_bytes && *n_bytes > 0 && !parse()) return std::nullopt;
        return n_bytes;
    } catch (const std::exception& e) {
        talked_nonsense_ = true;
        kill(fmt::format("{} was ended, because what it sent could not be taken: {}", who_, e.what()));
        return std::nullopt;
    }
}

/// Reads what is there into the decoder: how many bytes, or nothing when no more will come.
std::optional<std::size_t> Connection::read_some() {
    const auto room = decoder_.prepare(kReadBytes);
    const ssize_t n = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
    if (n > 0) {
        decoder_.commit(static_cast<std::size_t>(n));
        return static_cast<std::size_t>(n);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    on_socket_end();
    return std::nullopt;
}

/// Handles every whole frame; false when the engine talks nonsense and has been killed for it.
bool Connection::parse() {
    google::protobuf::ArenaOptions arena_options;
    arena_options.initial_block = arena_block_.get();
    arena_options.initial_block_size = kArenaBytes;
    google::protobuf::Arena arena(arena_options);
    for (;;) {
        const auto payload = decoder_.next();
        if (payload && !*payload) return true;
        auto* message = google::protobuf::Arena::CreateMessage<wire::FromEngine>(&arena);
        if (!payload || !message->ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size())) ||
            !handle(*message)) {
            talked_nonsense_ = true;
            kill(who_ + " sent what is no valid message and was ended");
            return false;
        }
        arena.Reset();
    }
}

/// False when the message has no place in this state.
bool Connection::handle(wire::FromEngine& message) {
    if (message.has_broken() && state_ != State::kGone) {
        kill(fmt::format("{} ended: {}", who_, message.broken().message()));
        return true;
    }
    if (state_ == State::kServing) {
        if (message.has_step()) {
            deliver(message.step());
        } else if (message.has_pong()) {
            watch_.answered(message.pong());
        } else if (message.has_artifact_report()) {
            deliver(*message.mutable_artifact_report());
        } else {
            return false;
        }
        return true;
    }
    if (state_ == State::kStandby) return false;
    if (state_ != State::kLoading) return true;
    if (!std::exchange(has_answered_, true)) state_changed_.notify();
    if (message.has_progress()) {
        const float fraction = message.progress().fraction();
        if (progress_ && std::isfinite(fraction)) {
            progress_({std::clamp(fraction, 0.0F, 1.0F), message.progress().warming()});
        }
        return true;
    }
    if (message.has_loaded()) {
        info_ = from_wire(message.loaded());
        change_state(State::kServing);
        return true;
    }
    if (message.has_load_failed()) {
        why_ = std::move(*message.mutable_load_failed()->mutable_message());
        change_state(State::kLoadFailed);
        return true;
    }
    return false;
}

void Connection::deliver(const wire::StepOutput& step) {
    for (const wire::Delta& delta : step.deltas()) {
        const auto found = channels_.find(delta.request_id());
        if (found == channels_.end()) continue;
        if (delta.scores_size() + delta.embedding_size() > 0) {
            found->second->add(from_wire(delta));
        } else {
            found->second->add(delta.text(), delta.n_tokens());
        }
    }
    for (const wire::Finished& finished : step.finished()) {
        if (const auto ended = channels_.extract(finished.request_id())) ended.mapped()->finish(from_wire(finished));
    }
    for (const wire::Failed& failed : step.failed()) {
        if (const auto ended = channels_.extract(failed.request_id())) ended.mapped()->fail(from_wire(failed));
    }
    if (step.has_stats()) stats_ = from_wire(step.stats());
}

void Connection::deliver(wire::ArtifactReport& report) {
    const auto found = reports_.extract(report.id());
    if (!found) return;
    if (report.refused()) {
        found.mapped()->result = fail(ErrorCode::kUnavailable, std::move(*report.mutable_problem()));
    } else {
        found.mapped()->result = from_wire(report);
    }
    found.mapped()->ready.notify();
}

// --- watching

/// From when something is open until nothing is, and the engine has said that it rests: a request whose client has gone
/// away may be what it hangs at.
void Connection::keep_watch() {
    asked_at_rest_ = false;
    if (watching_ || stall_timeout_.count() == 0) return;
    watching_ = true;
    watch_ = {};
    look();
}

void Connection::look() {
    if (state_ != State::kServing) return;
    if (const auto hangs = watch_.look()) {
        kill(fmt::format("{} hung and was ended: for {} s it {}", who_,
                         std::chrono::duration<double>(stall_timeout_).count(), *hangs));
        return;
    }
    // Only what it says after the last cancel counts: before, it may not have come to what it hangs at.
    const bool nothing_open = channels_.empty() && reports_.empty();
    if (nothing_open && asked_at_rest_ && watch_.at_rest()) {
        watching_ = false;
        return;
    }
    if (watch_.takes_ping()) {
        asked_at_rest_ = nothing_open;
        wire::ToEngine message;
        message.mutable_ping();
        send(message);
    }
    next_look_.expires_after(stall_timeout_ / Watch::kLooks);
    next_look_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->look();
    });
}

/// The engine closed its end. Its exit, which says why, is due now; one that stays is not waited for.
void Connection::on_socket_end() {
    if (draining_) return;
    socket_end_grace_.expires_after(kSocketEndGrace);
    socket_end_grace_.async_wait([self = shared_from_this()](error_code error) {
        if (!error) self->kill(self->who_ + " closed its connection and was ended");
    });
}

// --- the process's end

void Connection::watch_exit() {
    exit_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
        if (!error) self->on_process_end();
    });
}

void Connection::on_process_end() {
    const ExitStatus status = process_.reap();
    // Its last words may still lie in the socket.
    while (socket_.is_open() && !talked_nonsense_ && take_some().value_or(0) > 0) {
    }
    if (why_.empty()) why_ = fmt::format("{} {}", who_, status.describe());
    error_code ignored;
    socket_.close(ignored);
    exit_.close(ignored);
    socket_end_grace_.cancel();
    next_look_.cancel();
    progress_ = nullptr;
    stats_.running = stats_.waiting = stats_.kv_cells_used = 0;
    change_state(State::kGone);
    end_streams(why_);
    if (on_exit_) std::exchange(on_exit_, nullptr)(draining_ && status.success(), why_);
}

void Connection::end_streams(const std::string& why) {
    for (const auto& [id, channel] : std::exchange(channels_, {})) channel->fail({ErrorCode::kEngineDied, why});
    for (const auto& [id, pending] : std::exchange(reports_, {})) {
        pending->result = fail(ErrorCode::kEngineDied, why);
        pending->ready.notify();
    }
}

// --- waiting

void Connection::change_state(State state) {
    state_ = state;
    state_changed_.notify();
}

asio::awaitable<void> Connection::wait_answered(Clock::time_point deadline) {
    const auto self = shared_from_this();
    while (state_ == State::kLoading && !has_answered_ && Clock::now() < deadline) {
        co_await state_changed_.wait(deadline);
    }
}

asio::awaitable<void> Connection::wait_loaded(Clock::time_point deadline) {
    const auto self = shared_from_this();
    while (state_ == State::kLoading && Clock::now() < deadline) co_await state_changed_.wait(deadline);
}

asio::awaitable<void> Connection::wait_gone(Clock::time_point deadline) {
    const auto self = shared_from_this();
    while (state_ != State::kGone && Clock::now() < deadline) co_await state_changed_.wait(deadline);
}

}  // namespace sutazai::ipc
