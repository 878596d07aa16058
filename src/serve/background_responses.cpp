#include "serve/background_responses.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "base/thrown.h"
#include "serve/admission.h"
#include "serve/response_answer.h"

namespace sutazai::serve {

namespace asio = boost::asio;
namespace json = boost::json;
using api::responses::Status;
using responses::Record;
using responses::ResponseStore;

namespace {

constexpr std::chrono::seconds kBetweenTries{5};  // to store what has ended
constexpr std::size_t kPieceBytes = 256 << 10;    // of a stream that is joined
constexpr std::chrono::seconds kUnwind{2};
/// A response that ends the server each time that it is begun must not do so for ever.
constexpr int kMostTries = 5;

Error none_of_that_name() {
    return {ErrorCode::kNotFound, "There is no response with this id."};
}

void set_status(Record& record, Status status, json::value error = nullptr) {
    record.open = is_open(status);
    record.status = to_string(status);
    json::error_code failure;
    json::value body = json::parse(record.body, failure);
    if (failure || !body.is_object()) return;
    body.get_object()["status"] = record.status;
    body.get_object()["error"] = std::move(error);
    record.body = to_json(body);
}

/// Of what was open when the last server ended, the background responses. Nobody waits for the others any more.
Result<std::vector<Record>> take_open(ResponseStore& store, std::int64_t now) {
    auto open = store.open_ones(now);
    if (!open) return open;
    const auto has_failed = [](const Record& record) { return !record.background || record.tries >= kMostTries; };
    for (Record& record : *open) {
        if (!has_failed(record)) continue;
        set_status(record, Status::kFailed,
                   {{"code", "server_error"}, {"message", "The server ended while the response was made."}});
        if (auto updated = store.update(record, now); !updated) return std::unexpected(std::move(updated.error()));
    }
    std::erase_if(*open, has_failed);
    return open;
}

/// Where the event behind that at `from` begins; npos while it has not been told whole.
std::size_t next_event(std::string_view log, std::size_t from) {
    const std::size_t end = log.find("\n\n", from);
    return end == std::string_view::npos ? end : end + 2;
}

asio::awaitable<Result<void>> tell(std::string_view text, EventSink& sink) {
    while (!text.empty()) {
        const std::string_view piece = text.substr(0, kPieceBytes);
        sink.buffer() += piece;
        text.remove_prefix(piece.size());
        if (auto sent = co_await sink.flush(); !sent) co_return sent;
    }
    co_return Result<void>{};
}

}  // namespace

/// One that is open.
struct BackgroundResponses::Run {
    Record record;  // without its long texts
    Caller caller;
    std::shared_ptr<ResponseEvents> events;  // null: of an earlier server, and not begun
    std::string log;                         // of one that streams: its events
    ipc::Signal changed;                     // there is more in the log, or it has ended
    asio::cancellation_signal cancellation;
    bool running = false;
    bool working = false;    // may be cancelled
    bool cancelled = false;  // somebody wants it to end
    bool ended = false;
    bool left = false;  // ended here, to go on with the next server
};

/// Keeps the events for those who watch.
class BackgroundResponses::LogSink final : public EventSink {
  public:
    explicit LogSink(Run& run) : run_(run) {}
    std::string& buffer() override { return buffer_; }
    asio::awaitable<Result<void>> flush() override {
        run_.log += buffer_;
        buffer_.clear();
        run_.changed.notify();
        co_return Result<void>{};
    }
    asio::awaitable<Result<void>> finish() override { return flush(); }

  private:
    Run& run_;
    std::string buffer_;
};

BackgroundResponses::BackgroundResponses(Context& context, ResponseRecords& records, asio::any_io_executor executor)
    : context_(context), records_(records), executor_(std::move(executor)) {}

BackgroundResponses::~BackgroundResponses() = default;

std::shared_ptr<BackgroundResponses::Run> BackgroundResponses::find(const Caller& caller, std::string_view id) const {
    for (const auto& run : runs_) {
        if (run->record.id == id && run->caller.tenant == caller.tenant) return run;
    }
    return nullptr;
}

asio::awaitable<Result<std::string>> BackgroundResponses::start(Caller caller, ResponseRequest request) {
    const std::size_t most = context_.settings.max_background_responses;
    if (!records_.keeps()) {
        co_return fail(ErrorCode::kInvalidArgument,
                       "Background responses need a store, and there is none (RESPONSES_RETENTION_DAYS=0).",
                       "background");
    }
    // What would fail later is told now.
    if (auto complete = complete_request(caller, request.asked.generation); !complete) {
        co_return std::unexpected(std::move(complete.error()));
    }
    if (auto may = check_keep_alive(context_.settings, caller, request.asked.keep_alive); !may) {
        co_return std::unexpected(std::move(may.error()));
    }
    if (request.asked.stream && !context_.settings.streaming_enabled) {
        co_return fail(ErrorCode::kForbidden, "Streaming is switched off (STREAMING_ENABLED=false).", "stream");
    }
    co_await context_.models.catch_up();
    std::string model = request.asked.model.empty() ? context_.catalog.default_model() : request.asked.model;
    if (auto file = context_.catalog.find(model); !file)
        co_return fail(ErrorCode::kNotFound, file.error().message, "model");
    const auto own = std::ranges::count_if(runs_, [&](const auto& run) { return run->caller.tenant == caller.tenant; });
    if (static_cast<std::size_t>(own) >= most) {
        co_return std::unexpected(Error{ErrorCode::kQueueFull,
                                        fmt::format("There are {} background responses already, as many as there may "
                                                    "be (MAX_BACKGROUND_RESPONSES).",
                                                    own),
                                        "background", 10});
    }
    const auto run = std::make_shared<Run>();
    run->events = std::make_shared<ResponseEvents>(head_of(request, std::move(model)));
    api::responses::AnswerEvents& events = run->events->events;
    events.stored = true;
    run->caller = std::move(caller);
    run->record = {.id = request.id,
                   .tenant = run->caller.tenant,
                   .previous = request.asked.previous_response_id,
                   .status = to_string(events.status()),
                   .open = true,
                   .background = true,
                   .streams = request.asked.stream,
                   .admin = run->caller.admin,
                   .created_unix_s = events.head().created_unix_s};
    if (request.asked.stream) events.queue(run->log);
    std::string object = events.object();
    Record whole = run->record;
    whole.input = std::move(request.input);
    whole.request = std::move(request.body);
    whole.body = object;
    runs_.push_back(run);  // counts while it is being stored
    run->running = true;
    auto added = co_await records_.add(std::move(whole));
    run->running = false;
    if (!added) {
        runs_.remove(run);
        co_return std::unexpected(std::move(added.error()));
    }
    pump();
    co_return object;
}

/// Starts what there is room for, of those first who have the fewest running.
void BackgroundResponses::pump() {
    while (!draining_) {
        const auto running_of = [this](const std::string& tenant) {
            return std::ranges::count_if(runs_,
                                         [&](const auto& run) { return run->running && run->caller.tenant == tenant; });
        };
        const auto running = std::ranges::count_if(runs_, [](const auto& run) { return run->running; });
        if (running >= static_cast<std::ptrdiff_t>(context_.settings.batch_size)) return;
        std::shared_ptr<Run> next;
        std::ptrdiff_t fewest = 0;
        for (const auto& run : runs_) {
            if (run->running || run->ended) continue;
            const auto n = running_of(run->caller.tenant);
            if (next && n >= fewest) continue;
            next = run;
            fewest = n;
        }
        if (!next) return;
        next->running = true;
        asio::co_spawn(executor_, supervise(std::move(next)), asio::detached);
    }
}

asio::awaitable<void> BackgroundResponses::supervise(std::shared_ptr<Run> run) {
    ipc::Signal done;
    bool is_done = false;
    std::optional<Error> error;
    run->working = true;
    asio::co_spawn(executor_, work(run),
                   asio::bind_cancellation_slot(
                       run->cancellation.slot(), [&](const std::exception_ptr& thrown, const Result<void>& result) {
                           is_done = true;
                           if (thrown) {
                               error = Error{ErrorCode::kInternal, "The server failed to make the response."};
                               if (!run->cancelled && !draining_)
                                   spdlog::error("a background response: {}", text_of(thrown));
                           } else if (!result) {
                               error = result.error();
                           }
                           done.notify();
                       }));
    while (!is_done) co_await done.wait(ipc::Signal::kEver);
    run->working = false;
    co_await conclude(run, std::move(error));
    pump();
}

asio::awaitable<Result<void>> BackgroundResponses::work(std::shared_ptr<Run> run) {
    auto load = [tenant = run->caller.tenant, id = run->record.id](ResponseStore& store,
                                                                   std::int64_t now) -> Result<ResponseRequest> {
        auto record = store.find(tenant, id, now);
        if (!record) return std::unexpected(std::move(record.error()));
        if (!*record) return fail(ErrorCode::kNotFound, "The response has been deleted.");
        ++(*record)->tries;
        set_status(**record, Status::kInProgress);
        if (auto noted = store.update(**record, now); !noted) return std::unexpected(std::move(noted.error()));
        return parse_response((*record)->request, id);
    };
    auto loaded = co_await records_.run(load);
    if (!loaded) co_return std::unexpected(std::move(loaded.error()));
    auto request = co_await converse(records_, run->caller.tenant, std::move(*loaded));
    if (!request) co_return std::unexpected(std::move(request.error()));
    if (!run->events) {
        api::responses::AnswerHead head = head_of(*request, request->asked.model);
        head.created_unix_s = run->record.created_unix_s;
        run->events = std::make_shared<ResponseEvents>(std::move(head));
        run->events->events.stored = true;
        if (run->record.streams) run->events->events.queue(run->log);
    }
    LogSink sink(*run);
    AnswerRequest answer = response_answer(std::move(*request), run->events);
    if (run->record.streams) co_return co_await stream_answer(context_, run->caller, std::move(answer), sink);
    const Result<std::string> made = co_await whole_answer(context_, run->caller, std::move(answer));
    if (!made) co_return std::unexpected(made.error());
    co_return Result<void>{};
}

asio::awaitable<void> BackgroundResponses::conclude(std::shared_ptr<Run> run, std::optional<Error> error) {
    if (!run->events) {  // the record could not even be read
        run->events = std::make_shared<ResponseEvents>(api::responses::AnswerHead{
            .id = run->record.id, .created_unix_s = run->record.created_unix_s, .background = true});
        run->events->events.stored = true;
    }
    std::string last;
    Record record = run->record;
    {
        const std::lock_guard lock(run->events->mutex);
        api::responses::AnswerEvents& events = run->events->events;
        if (is_open(events.status())) {
            events.cut(last, run->cancelled ? Status::kCancelled : Status::kFailed,
                       run->cancelled ? std::nullopt : std::move(error));
        }
        run->left = draining_ && !run->cancelled && events.status() == Status::kFailed;
        using std::chrono::system_clock;
        events.completed_unix_s = system_clock::to_time_t(system_clock::now());
        if (!run->record.streams) {
            last.clear();
        } else {
            events.end(last);
            record.events = run->log + last;
        }
        record.open = false;
        record.status = to_string(events.status());
        record.body = events.object();
    }
    if (run->left) {
        last.clear();
    } else {
        auto stored = co_await records_.update(record);
        while (!stored && !draining_) {
            records_.complain(stored.error());
            co_await changed_.wait(std::chrono::steady_clock::now() + kBetweenTries);
            stored = co_await records_.update(record);
        }
    }
    run->log += last;
    run->ended = true;
    run->running = false;
    runs_.remove(run);
    run->changed.notify();
    changed_.notify();
}

asio::awaitable<Result<void>> BackgroundResponses::watch(Caller caller, std::string id, std::uint64_t first,
                                                         EventSink& sink) {
    if (!context_.settings.streaming_enabled) {
        co_return fail(ErrorCode::kForbidden, "Streaming is switched off (STREAMING_ENABLED=false).", "stream");
    }
    const std::shared_ptr<Run> run = find(caller, id);
    if (!run) co_return co_await watch_stored(std::move(caller), std::move(id), first, sink);
    if (!run->record.streams) {
        co_return fail(ErrorCode::kInvalidArgument, "stream needs a response that was asked for with stream", "stream");
    }
    if (auto begun = co_await sink.flush(); !begun) co_return begun;
    std::size_t at = 0;
    for (std::uint64_t number = 0;;) {
        for (; number < first; ++number) {
            const std::size_t next = next_event(run->log, at);
            if (next == std::string::npos) break;
            at = next;
        }
        while (number >= first && at < run->log.size()) {
            const std::string piece = run->log.substr(at, kPieceBytes);  // the log grows meanwhile
            at += piece.size();
            if (auto sent = co_await tell(piece, sink); !sent) co_return sent;
        }
        if (run->ended) break;
        co_await run->changed.wait(ipc::Signal::kEver);
    }
    if (run->left) {
        std::uint64_t n_events = 0;
        for (std::size_t end = 0; (end = next_event(run->log, end)) != std::string::npos;) ++n_events;
        api::responses::append_interruption(
            sink.buffer(), n_events,
            {ErrorCode::kUnavailable, "The server ends; the response begins again when it is back."});
    }
    co_return co_await sink.finish();
}

asio::awaitable<Result<void>> BackgroundResponses::watch_stored(Caller caller, std::string id, std::uint64_t first,
                                                                EventSink& sink) {
    if (!records_.keeps()) co_return std::unexpected(none_of_that_name());
    auto work = [tenant = std::move(caller.tenant), id = std::move(id)](ResponseStore& store, std::int64_t now) {
        return store.find(tenant, id, now, true);
    };
    const auto record = co_await records_.run(work);
    if (!record) co_return std::unexpected(record.error());
    if (!*record) co_return std::unexpected(none_of_that_name());
    if (!(*record)->background || !(*record)->streams) {
        co_return fail(ErrorCode::kInvalidArgument,
                       "stream needs a response that was asked for with background and stream", "stream");
    }
    if ((*record)->open) {
        co_return std::unexpected(Error{ErrorCode::kUnavailable, "The response is not taken up again yet.", {}, 1});
    }
    if (auto told = co_await tell(api::responses::events_from((*record)->events, first), sink); !told) co_return told;
    co_return co_await sink.finish();
}

asio::awaitable<void> BackgroundResponses::cancel(Caller caller, std::string id) {
    const std::shared_ptr<Run> run = find(caller, id);
    if (!run) co_return;
    run->cancelled = true;
    if (run->working) {
        run->cancellation.emit(asio::cancellation_type::terminal);
    } else if (!run->running) {
        run->running = true;
        asio::co_spawn(executor_, conclude(run, std::nullopt), asio::detached);
    }
    while (!run->ended) co_await run->changed.wait(ipc::Signal::kEver);
}

asio::awaitable<void> BackgroundResponses::resume() {
    auto work = [](ResponseStore& store, std::int64_t now) { return take_open(store, now); };
    auto open = co_await records_.run(work);
    if (!open) {
        records_.complain(open.error());
        co_return;
    }
    for (Record& record : *open) {
        record.body = {};
        record.request = {};
        const auto run = std::make_shared<Run>();
        run->caller = {.tenant = record.tenant, .admin = record.admin};
        run->record = std::move(record);
        runs_.push_back(run);
    }
    if (!open->empty()) spdlog::info("{} background responses go on from the last time", open->size());
    pump();
}

asio::awaitable<void> BackgroundResponses::stop() {
    draining_ = true;
    changed_.notify();
    const auto all = runs_;
    for (const auto& run : all) {
        if (run->working) run->cancellation.emit(asio::cancellation_type::terminal);
    }
    const auto deadline = std::chrono::steady_clock::now() + kUnwind;
    const auto runs = [this] { return std::ranges::any_of(runs_, [](const auto& run) { return run->running; }); };
    while (runs() && std::chrono::steady_clock::now() < deadline) co_await changed_.wait(deadline);
}

}  // namespace sutazai::serve
