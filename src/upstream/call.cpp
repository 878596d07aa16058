#include "upstream/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <optional>
#include <random>
#include <utility>

#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr int kTries = 3;
/// A server that asks for a longer pause is not waited for.
constexpr int kLongestPauseS = 10;
/// Of an answer that is read until nobody takes more of it.
constexpr std::size_t kMostUnreadBytes = 64 << 10;
constexpr std::uint64_t kMostStreamBytes = 256 << 20;
constexpr std::size_t kMostErrorBytes = 64 << 10;
constexpr std::size_t kMostVectorBytes = 8 << 20;
constexpr seconds kForErrorBody{5};  // all of it
/// For all that is behind an answer's end, so that the connection can be used again.
constexpr seconds kForRest{1};
constexpr std::size_t kMostRestBytes = 4 << 10;

int retry_after(const Connection& connection) {
    const std::string text = connection.header("Retry-After");
    int value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failure == std::errc() && value > 0 && value < 86'400 ? value : 0;
}

milliseconds jittered(milliseconds pause) {
    static std::minstd_rand random(std::random_device{}());
    std::uniform_real_distribution<double> factor(0.5, 1.5);
    return milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * factor(random)));
}

/// Appends what comes of a body until it is done, has more than `most_bytes`, or `time` is over, however slowly it
/// drips.
asio::awaitable<void> read_rest(Connection& connection, std::string& out, std::size_t most_bytes, milliseconds time) {
    const auto deadline = Connection::Clock::now() + time;
    error_code failure;
    while (!connection.is_done() && !failure && out.size() <= most_bytes) {
        const auto left = std::chrono::duration_cast<milliseconds>(deadline - Connection::Clock::now());
        if (left.count() <= 0) co_return;
        failure = co_await connection.read_some(out, left);
    }
}

/// While a request waits or runs.
class Counted {
  public:
    explicit Counted(std::uint64_t& count) : count_(&count) { ++*count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*count_; }

  private:
    std::uint64_t* count_;
};

}  // namespace

asio::awaitable<void> Call::run(std::shared_ptr<Call> call) {
    call->begun_ = Clock::now();
    const Limits& limits = call->upstream->limits_;
    std::optional<Pool::Place> place;
    {
        const Counted waiting(call->model->stats.waiting);
        const auto deadline = limits.queue.count() == 0 ? ipc::Signal::kEver : call->begun_ + limits.queue;
        auto entered = co_await call->upstream->pool_->enter(deadline);
        if (!entered) co_return call->channel->fail(std::move(entered.error()));
        place.emplace(std::move(*entered));
    }
    const Counted running(call->model->stats.running);
    // One that could not be reached just now is tried once, so that its return is seen, and not waited for.
    const int tries = call->upstream->health() == Health::kUnreachable ? 1 : kTries;
    bool may_reuse = true;
    milliseconds pause = limits.first_pause;
    for (int n = 1;; ++n, pause *= 2) {
        Outcome outcome = co_await call->attempt(may_reuse);
        if (outcome.next == Outcome::Next::kAgainAtOnce) {
            may_reuse = false;
            outcome = co_await call->attempt(may_reuse);
        }
        if (outcome.next == Outcome::Next::kDone) co_return;
        const bool again = outcome.next == Outcome::Next::kAgainLater && !call->told_ && n < tries &&
                           outcome.error.retry_after_s <= kLongestPauseS;
        if (!again) co_return call->fail(std::move(outcome.error));
        const milliseconds wait = std::max<milliseconds>(jittered(pause), seconds(outcome.error.retry_after_s));
        asio::steady_timer timer(co_await asio::this_coro::executor, wait);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

void Call::fail(Error error) {
    error = fit_to_show(std::move(error), upstream->identity().key);
    if (error.code == ErrorCode::kUpstreamFailed || error.code == ErrorCode::kUpstreamTimeout) {
        error.message = fmt::format("{} does not serve the model: {}", upstream->identity().label(), error.message);
        model->last_error = error.message;
    } else if (error.code == ErrorCode::kNotFound) {
        error.field = "model";
    }
    channel->fail(std::move(error));
}

asio::awaitable<Call::Outcome> Call::attempt(bool may_reuse) {
    std::unique_ptr<Connection> connection;
    if (may_reuse) connection = upstream->pool_->take_idle();
    const bool reused = connection != nullptr;
    if (!reused) {
        connection = upstream->new_connection();
        auto opened = co_await connection->open(upstream->identity().address, upstream->connect_timeout());
        if (!opened) {
            upstream->note_unreachable(opened.error().message);
            co_return Outcome{Outcome::Next::kAgainLater, std::move(opened.error())};
        }
    }
    Outcome outcome = co_await exchange(*connection, reused);
    if (outcome.next == Outcome::Next::kDone && !connection->is_done()) {
        std::string rest;
        co_await read_rest(*connection, rest, kMostRestBytes, kForRest);
    }
    if (connection->is_reusable()) upstream->pool_->put_idle(std::move(connection));
    co_return outcome;
}

asio::awaitable<Call::Outcome> Call::exchange(Connection& connection, bool reused) {
    const bool is_vector = outgoing.form == AnswerForm::kOpenAiVectors || outgoing.form == AnswerForm::kOllamaVectors;
    std::string text = upstream->request_text("POST", outgoing.path, outgoing.body, via);
    error_code failure = co_await connection.send(std::move(text), is_vector ? kMostVectorBytes : kMostStreamBytes,
                                                  upstream->limits_.idle);
    sent_ = Clock::now();
    if (!failure) failure = co_await connection.read_head(patience());
    if (failure) {
        // It was closed while it was idle, most likely: the request has not been looked at.
        if (reused && !is_timeout(failure)) co_return Outcome{Outcome::Next::kAgainAtOnce, {}};
        co_return failed(failure);
    }
    if (connection.status() != 200) co_return co_await refused(connection);
    upstream->note_reachable();
    if (is_vector) co_return co_await read_vector(connection);
    co_return co_await read_stream(connection);
}

asio::awaitable<Call::Outcome> Call::refused(Connection& connection) {
    std::string body;
    co_await read_rest(connection, body, kMostErrorBytes, kForErrorBody);
    if (body.size() > kMostErrorBytes) body.clear();
    const unsigned status = connection.status();
    Error error = error_of_answer(status, body, retry_after(connection), upstream->identity().label());
    const bool again = (status == 502 || status == 503) && error.retry_after_s > 0;
    co_return Outcome{again ? Outcome::Next::kAgainLater : Outcome::Next::kFail, std::move(error)};
}

asio::awaitable<Call::Outcome> Call::read_stream(Connection& connection) {
    AnswerReader reader(outgoing.form, bounds);
    std::string text;
    for (;;) {
        text.clear();
        const error_code failure = co_await connection.read_some(text, patience());
        GenerationUpdate update;
        auto taken = reader.take(text, update);
        if (taken && !update.finished && !failure && connection.is_done()) taken = reader.end(update);
        const bool finished = update.finished.has_value();
        tell(std::move(update));
        if (!taken) co_return Outcome{Outcome::Next::kFail, std::move(taken.error())};
        if (finished) co_return Outcome{};
        if (failure) co_return failed(failure);
        while (channel->unread_bytes() > kMostUnreadBytes) co_await channel->taken(channel);
    }
}

asio::awaitable<Call::Outcome> Call::read_vector(Connection& connection) {
    std::string body;
    while (!connection.is_done()) {
        const error_code failure = co_await connection.read_some(body, patience());
        if (failure) co_return failed(failure);
    }
    auto update = read_vectors(outgoing.form, body);
    if (!update) co_return Outcome{Outcome::Next::kFail, std::move(update.error())};
    tell(std::move(*update));
    co_return Outcome{};
}

/// Whether the other server is away the next look at it will show: this says something of one answer only.
Call::Outcome Call::failed(const error_code& failure) {
    const ErrorCode code = is_timeout(failure) ? ErrorCode::kUpstreamTimeout : ErrorCode::kUpstreamFailed;
    return {Outcome::Next::kFail, {code, reason_of(failure)}};
}

/// For the next bytes. Until the first token there is one limit for all of them.
milliseconds Call::patience() const {
    if (told_) return upstream->limits_.idle;
    const auto left = std::chrono::duration_cast<milliseconds>(sent_ + upstream->limits_.first_token - Clock::now());
    return std::max(left, milliseconds(1));
}

void Call::tell(GenerationUpdate update) {
    const bool holds_something = !update.delta.empty() || !update.scores.empty() || !update.embedding.empty();
    if (holds_something || update.finished) {
        last_token_ = Clock::now();
        if (!told_) first_token_ = last_token_;
        told_ = true;
    }
    std::optional<Finished> finished = std::exchange(update.finished, {});
    if (holds_something) channel->add(std::move(update));
    if (!finished) return;
    // What the other server has measured, or what was seen here.
    if (finished->timings == Timings{}) finished->timings = timings();
    EngineStats& stats = model->stats;
    stats.prompt_tokens += finished->usage.prompt_tokens;
    stats.generation_tokens += finished->usage.completion_tokens;
    stats.cached_tokens += finished->usage.cached_tokens;
    model->last_error.clear();
    channel->finish(*finished);
}

Timings Call::timings() const {
    const auto us = [](auto duration) { return std::chrono::duration_cast<std::chrono::microseconds>(duration); };
    return {us(sent_ - begun_), us(first_token_ - sent_), us(last_token_ - first_token_)};
}

}  // namespace sutazai::upstream
