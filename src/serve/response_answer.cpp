#include "serve/response_answer.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <span>
#include <utility>

namespace sutazai::serve {

namespace asio = boost::asio;
using api::responses::Status;

namespace {

class ResponseFormat final : public AnswerFormat {
  public:
    explicit ResponseFormat(std::shared_ptr<ResponseEvents> events) : events_(std::move(events)) {}

    void start(std::string& out) override {
        const std::lock_guard lock(events_->mutex);
        events_->events.start(out);
    }
    void update(std::string& out, std::size_t /*index*/, const GenerationUpdate& update) override {
        const std::lock_guard lock(events_->mutex);
        events_->events.update(out, update);
    }
    std::string answer(std::span<const api::Choice> choices) override {
        const std::lock_guard lock(events_->mutex);
        events_->events.set(choices.front());
        return {};
    }

  private:
    std::shared_ptr<ResponseEvents> events_;
};

std::int64_t unix_now() {
    using std::chrono::system_clock;
    return system_clock::to_time_t(system_clock::now());
}

/// Keeps one response, if it is to be kept. What cannot be stored is told in the log and in the response's `store`.
class Keeper {
  public:
    Keeper(ResponseRecords& records, const Caller& caller, ResponseRequest& request,
           std::shared_ptr<ResponseEvents> events)
        : records_(records), events_(std::move(events)) {
        const api::responses::AnswerHead& head = events_->events.head();
        record_ = {.id = head.id,
                   .tenant = caller.tenant,
                   .previous = request.asked.previous_response_id,
                   .admin = caller.admin,
                   .created_unix_s = head.created_unix_s,
                   .input = std::move(request.input)};
        wanted_ = records.keeps() && request.asked.store.value_or(true);
        events_->events.stored = wanted_;
    }

    [[nodiscard]] ResponseEvents& events() { return *events_; }

    asio::awaitable<void> begin() {
        if (wanted_) co_await keep(true);
    }
    asio::awaitable<void> end() {
        {
            const std::lock_guard lock(events_->mutex);
            events_->events.completed_unix_s = unix_now();
        }
        if (wanted_) co_await keep(false);
    }
    /// The answer broke off: the client has gone, or `error`.
    asio::awaitable<void> cut(std::optional<Error> error) {
        {
            const std::lock_guard lock(events_->mutex);
            std::string untold;
            const Status status = error ? Status::kFailed : Status::kCancelled;
            if (is_open(events_->events.status())) events_->events.cut(untold, status, std::move(error));
        }
        // An add that was under way may have been done.
        if (!tried_ || ended_) co_return;
        added_ = true;
        co_await keep(false);
    }

  private:
    asio::awaitable<void> keep(bool open) {
        {
            const std::lock_guard lock(events_->mutex);
            record_.open = open;
            record_.status = to_string(events_->events.status());
            events_->events.stored = true;
            record_.body = events_->events.object();
        }
        Result<bool> kept = true;
        tried_ = true;
        if (added_) {
            kept = co_await records_.update(record_);
        } else if (auto added = co_await records_.add(record_); !added) {
            kept = std::unexpected(std::move(added.error()));
        } else {
            record_.input = {};
            added_ = true;
        }
        ended_ = !open;
        if (!kept) records_.complain(kept.error());
        const std::lock_guard lock(events_->mutex);
        events_->events.stored = kept.value_or(false);
    }

    ResponseRecords& records_;
    std::shared_ptr<ResponseEvents> events_;
    responses::Record record_;
    bool wanted_ = false;
    bool tried_ = false;
    bool added_ = false;
    bool ended_ = false;  // and kept as it ended
};

/// Hands on to another sink, and has the response kept before its first and before its last event.
class KeepingSink final : public EventSink {
  public:
    KeepingSink(EventSink& to, Keeper& keeper) : to_(to), keeper_(keeper) {}

    std::string& buffer() override { return begun_ ? to_.buffer() : first_; }

    asio::awaitable<Result<void>> flush() override {
        if (!begun_) {
            co_await keeper_.begin();
            hand_on();
        }
        co_return co_await to_.flush();
    }

    asio::awaitable<Result<void>> finish() override {
        co_await keeper_.end();
        if (!begun_) hand_on();
        {
            ResponseEvents& of = keeper_.events();
            const std::lock_guard lock(of.mutex);
            of.events.end(to_.buffer());
        }
        co_return co_await to_.finish();
    }

  private:
    void hand_on() {
        begun_ = true;
        to_.buffer() += first_;
        first_ = {};
    }

    EventSink& to_;
    Keeper& keeper_;
    std::string first_;
    bool begun_ = false;
};

asio::awaitable<void> cut(std::shared_ptr<Keeper> keeper, std::optional<Error> error) {
    co_await keeper->cut(std::move(error));
}

/// Who asks for storing in so many words is told when it cannot be, before anything is computed.
asio::awaitable<Result<void>> check_store(ResponseRecords& records, const ResponseRequest& request) {
    if (!records.keeps() || request.asked.store != true) co_return Result<void>{};
    auto work = [](responses::ResponseStore& store, std::int64_t now) { return store.check(now); };
    co_return co_await records.run(work);
}

}  // namespace

AnswerRequest response_answer(ResponseRequest request, std::shared_ptr<ResponseEvents> events) {
    AnswerRequest answer{std::move(request.asked.model), request.asked.stream, {}, request.asked.keep_alive, {}};
    answer.make_format = [events = std::move(events)](std::string model) {
        events->events.begin_with(std::move(model));
        return std::make_unique<ResponseFormat>(events);
    };
    answer.generations.push_back(std::move(request.asked.generation));
    return answer;
}

asio::awaitable<Result<void>> stream_response(Context& context, ResponseRecords& records, Caller caller,
                                              ResponseRequest request, EventSink& sink) {
    if (auto can = co_await check_store(records, request); !can) co_return can;
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto events = std::make_shared<ResponseEvents>(head_of(request, request.asked.model));
    const auto keeper = std::make_shared<Keeper>(records, caller, request, events);
    KeepingSink keeping(sink, *keeper);
    AnswerRequest answer = response_answer(std::move(request), events);
    std::exception_ptr thrown;
    Result<void> done;
    try {
        done = co_await stream_answer(context, std::move(caller), std::move(answer), keeping);
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown || !done) {
        std::optional<Error> error;
        if (!thrown && done.error().code != ErrorCode::kCancelled) error = done.error();
        asio::co_spawn(executor, cut(keeper, std::move(error)), asio::detached);
    }
    if (thrown) std::rethrow_exception(thrown);
    co_return done;
}

asio::awaitable<Result<std::string>> whole_response(Context& context, ResponseRecords& records, Caller caller,
                                                    ResponseRequest request) {
    if (auto can = co_await check_store(records, request); !can) co_return std::unexpected(std::move(can.error()));
    const auto events = std::make_shared<ResponseEvents>(head_of(request, request.asked.model));
    Keeper keeper(records, caller, request, events);
    AnswerRequest answer = response_answer(std::move(request), events);
    const Result<std::string> made = co_await whole_answer(context, std::move(caller), std::move(answer));
    if (!made) co_return made;
    co_await keeper.end();
    co_return events->events.object();
}

}  // namespace sutazai::serve
