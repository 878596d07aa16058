#include "upstream/upstream.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <utility>

#include "base/thrown.h"
#include "ipc/channel.h"
#include "upstream/call.h"
#include "upstream/model_list.h"
#include "upstream/outgoing.h"
#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kMostListBytes = 8 << 20;
constexpr milliseconds kForList{10'000};
constexpr milliseconds kFirstProbe{500};
constexpr milliseconds kLongestProbe{60'000};
/// For a connection to one that could not be reached just now.
constexpr milliseconds kQuickConnect{2'000};
constexpr std::size_t kMostViaBytes = 1024;
/// A shorter key may well be a part of a model's name.
constexpr std::size_t kLeastSecretBytes = 8;
constexpr bool is_cancelled(const error_code& failure) {
    return failure == asio::error::operation_aborted;
}

}  // namespace

std::string Identity::label() const {
    return name.empty() ? "its upstream" : fmt::format("the upstream '{}'", name);
}

std::string Identity::shown() const {
    return name.empty() ? address.text() : fmt::format("{} ({})", name, address.text());
}

Upstream::Upstream(const asio::any_io_executor& executor, Identity identity, Limits limits, std::string own_name)
    : executor_(executor),
      identity_(std::move(identity)),
      limits_(limits),
      own_name_(std::move(own_name)),
      pool_(std::make_shared<Pool>(limits.connections, limits.waiting)) {
    if (!identity_.address.tls) return;
    tls_.emplace(asio::ssl::context::tls_client);
    tls_->set_default_verify_paths();
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                      asio::ssl::context::no_tlsv1_1);
}

Upstream::~Upstream() = default;

// --- health

void Upstream::watch(std::function<void()> on_names) {
    if (watching_ || stopped_) return;
    watching_ = true;
    on_names_ = std::move(on_names);
    asio::co_spawn(
        executor_, keep_watch(shared_from_this()),
        asio::bind_cancellation_slot(end_watch_.slot(), [self = shared_from_this()](const std::exception_ptr& thrown) {
            self->has_looked_ = true;
            self->looked_.notify();
            if (thrown && !self->stopped_) {
                spdlog::error("upstream {} is not looked after any more: {}", self->identity_.shown(), text_of(thrown));
            }
        }));
}

void Upstream::stop() {
    if (std::exchange(stopped_, true)) return;
    on_names_ = nullptr;
    pool_->close_idle();
    end_watch_.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> Upstream::first_look() {
    const auto self = shared_from_this();
    while (self->watching_ && !self->has_looked_ && !self->stopped_) co_await self->looked_.wait(ipc::Signal::kEver);
}

asio::awaitable<void> Upstream::keep_watch(std::shared_ptr<Upstream> self) {
    milliseconds pause = kFirstProbe;
    while (!self->stopped_) {
        auto names = co_await self->list_models();
        if (names) {
            pause = kFirstProbe;
            self->note_reachable();
            const bool is_new = *names != self->names_;
            if (is_new) self->names_ = std::move(*names);
            if (is_new && self->on_names_) self->on_names_();
        } else {
            self->note_unreachable(names.error().message);
        }
        self->has_looked_ = true;
        self->looked_.notify();
        self->pool_->prune();
        const Health seen = self->health_;
        const auto until = Clock::now() + (names ? self->limits_.poll : pause);
        while (!self->stopped_ && self->health_ == seen && Clock::now() < until) {
            co_await self->changed_.wait(until);
        }
        if (!names) pause = std::min(2 * pause, kLongestProbe);
    }
}

void Upstream::note_reachable() {
    if (std::exchange(health_, Health::kReachable) == Health::kReachable) return;
    problem_.clear();
    spdlog::info("upstream {}: can be reached", identity_.shown());
    changed_.notify();
}

void Upstream::note_unreachable(const std::string& why) {
    problem_ = why;
    if (std::exchange(health_, Health::kUnreachable) == Health::kUnreachable) return;
    spdlog::warn("upstream {}: {}", identity_.shown(), why);
    pool_->close_idle();
    changed_.notify();
}

asio::awaitable<Result<std::vector<std::string>>> Upstream::list_models() {
    const auto self = shared_from_this();
    const UpstreamKind kind = identity_.address.kind;
    std::string body;
    for (bool may_reuse = true;; may_reuse = false) {
        std::unique_ptr<Connection> connection = may_reuse ? pool_->take_idle() : nullptr;
        const bool reused = connection != nullptr;
        if (!reused) {
            connection = new_connection();
            auto opened = co_await connection->open(identity_.address, connect_timeout());
            if (!opened) co_return std::unexpected(std::move(opened.error()));
        }
        std::string text = request_text("GET", list_path(kind), "", "");
        error_code failure = co_await connection->send(std::move(text), kMostListBytes, kForList);
        if (!failure) failure = co_await connection->read_head(kForList);
        if (failure && reused && !is_timeout(failure)) continue;
        const auto deadline = Clock::now() + kForList;
        while (!failure && !connection->is_done()) {
            const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
            failure = co_await connection->read_some(body, std::max(left, milliseconds(1)));
        }
        if (failure) co_return broken(reason_of(failure));
        const unsigned status = connection->status();
        if (connection->is_reusable()) pool_->put_idle(std::move(connection));
        // One that has no such list is there all the same: models.toml may name its models.
        if (status == 404 || status == 405) co_return std::vector<std::string>();
        if (status != 200) {
            // Without its words, which are for whoever asks it something.
            co_return broken(status == 401 || status == 403
                                 ? error_of_answer(status, "", 0, "it").message
                                 : fmt::format("it answers with status {} where it should list its models", status));
        }
        auto names = read_model_list(kind, body);
        // Whoever asks for the models here is shown these.
        const std::string& key = identity_.key;
        if (names && key.size() >= kLeastSecretBytes) {
            std::erase_if(*names, [&](const std::string& name) { return name.find(key) != std::string::npos; });
        }
        co_return names;
    }
}

std::unique_ptr<Connection> Upstream::new_connection() {
    return std::make_unique<Connection>(executor_, tls_ ? &*tls_ : nullptr);
}

milliseconds Upstream::connect_timeout() const {
    return health_ == Health::kUnreachable ? std::min(limits_.connect, kQuickConnect) : limits_.connect;
}

std::string Upstream::request_text(std::string_view method, std::string_view path, std::string_view body,
                                   std::string_view via) const {
    std::string out = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sutazai\r\nVia: {}{}1.1 {}\r\n", method,
                                  identity_.address.path, path, identity_.address.authority(), via,
                                  via.empty() ? "" : ", ", own_name_);
    if (!identity_.key.empty()) out += fmt::format("Authorization: Bearer {}\r\n", identity_.key);
    if (method == "POST") {
        out += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    }
    out += "\r\n";
    out += body;
    return out;
}

// --- requests

std::shared_ptr<RemoteModel> Upstream::model(const std::string& name) {
    auto& model = models_[name];
    if (!model) model = std::make_shared<RemoteModel>(*this, name);
    return model;
}

std::weak_ptr<Call> Upstream::start_streaming(std::shared_ptr<RemoteModel> model, GenerationRequest request,
                                              std::shared_ptr<ipc::TokenStream::Channel> channel) {
    const auto call = std::make_shared<Call>();
    call->upstream = shared_from_this();
    call->model = std::move(model);
    call->channel = std::move(channel);
    if (request.via.size() > kMostViaBytes || request.via.find(own_name_) != std::string::npos) {
        call->fail({ErrorCode::kUpstreamFailed, "its address leads back to this server"});
        return {};
    }
    auto outgoing = make_outgoing(identity_.address.kind, call->model->name(), request);
    if (!outgoing) {
        call->channel->fail(std::move(outgoing.error()));
        return {};
    }
    call->outgoing = std::move(*outgoing);
    call->bounds = bounds_of(request);
    call->via = std::move(request.via);
    calls_.insert(call.get());
    const auto ended = [call](const std::exception_ptr& thrown) {
        Upstream& upstream = *call->upstream;
        upstream.calls_.erase(call.get());
        upstream.call_ended_.notify();
        if (!thrown) return;
        // Nothing is heard of this where it was cancelled.
        call->channel->fail({ErrorCode::kInternal, "The server failed to ask the upstream."});
        try {
            std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& error) {
            if (!is_cancelled(error.code())) spdlog::error("a request to an upstream ended: {}", error.what());
        } catch (const std::exception& error) {
            spdlog::error("a request to an upstream ended: {}", error.what());
        }
    };
    asio::co_spawn(executor_, Call::run(call), asio::bind_cancellation_slot(call->cancel.slot(), ended));
    return call;
}

void Upstream::cut(const Error& error) {
    std::vector<std::shared_ptr<Call>> open;
    open.reserve(calls_.size());
    for (Call* call : calls_) open.push_back(call->shared_from_this());
    for (const auto& call : open) {
        call->channel->fail(error);
        call->cancel.emit(asio::cancellation_type::terminal);
    }
}

std::vector<ipc::TokenStream> RemoteModel::submit_all(GenerationRequest request) {
    std::vector<ipc::TokenStream> streams;
    const int n = std::exchange(request.n, 1);
    last_used = std::chrono::system_clock::now();
    std::vector<GenerationRequest> all(static_cast<std::size_t>(n - 1), request);
    all.push_back(std::move(request));
    std::uint64_t index = 0;
    for (GenerationRequest& one : all) {
        if (one.sampling.seed) *one.sampling.seed += index++;
        const auto call_of = std::make_shared<std::weak_ptr<Call>>();
        const auto channel = std::make_shared<ipc::TokenStream::Channel>([call_of] {
            if (const auto call = call_of->lock()) call->cancel.emit(asio::cancellation_type::terminal);
        });
        streams.emplace_back(channel);
        *call_of = upstream_.start_streaming(shared_from_this(), std::move(one), channel);
    }
    return streams;
}

}  // namespace sutazai::upstream
