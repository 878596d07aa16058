// The lines of the batches that are in progress: which of them run, and what becomes of their answers.
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "api/openai.h"
#include "base/log.h"
#include "base/thrown.h"
#include "batches/line_answer.h"
#include "batches/runner_state.h"
#include "ipc/run_blocking.h"
#include "serve/admission.h"

namespace sutazai::batches {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

/// After the last answer that somebody waited for.
constexpr std::chrono::milliseconds kQuiet{500};
/// Answers that wait for the disk; no more lines are begun while there are so many.
constexpr std::size_t kMostUnkept = 512;
constexpr std::size_t kMostUnkeptBytes = 64 << 20;

bool was_stopped(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

}  // namespace

std::size_t Runner::width() const {
    const config::Settings& settings = context_.settings;
    const bool narrow = context_.foreground.running() > 0 || Clock::now() < narrow_until_;
    if (narrow) return std::max<std::size_t>(1, settings.batch_size / 4);
    // As many as run, and as many again that wait in the engine, so that no place is empty while a line is read.
    const std::size_t wide = settings.batch_width > 0 ? settings.batch_width : serve::generations_at_once(settings);
    // Others must find room in the queue.
    return std::min<std::size_t>(wide, std::max<std::size_t>(1, settings.max_queue / 2));
}

/// Lines that run beside what somebody waits for make it slower: those begun last are given up, to be run again.
void Runner::make_way() {
    if (context_.foreground.running() == 0) {
        narrow_until_ = Clock::now() + kQuiet;
    } else {
        std::size_t n_over = in_flight_.size() - std::min(in_flight_.size(), width());
        for (auto line = in_flight_.rbegin(); line != in_flight_.rend() && n_over > 0; ++line) {
            --n_over;
            if (std::exchange((*line)->stopped, true)) continue;
            (*line)->cancel.emit(asio::cancellation_type::terminal);
        }
    }
    lines_.notify();
}

void Runner::stop_lines(std::int64_t batch) {
    for (const auto& line : in_flight_) {
        if (line->task.batch != batch || std::exchange(line->stopped, true)) continue;
        line->cancel.emit(asio::cancellation_type::terminal);
    }
}

asio::awaitable<void> Runner::hand_out() {
    while (!stopping_) {
        while (auto wanted = desk_.wants_lines(Clock::now()))
            spawn(read_on(std::move(*wanted)), "the reading of lines");
        start_lines();
        const auto now = Clock::now();
        auto deadline = desk_.next_time(now).value_or(ipc::Signal::kEver);
        if (narrow_until_ > now) deadline = std::min(deadline, narrow_until_);
        co_await lines_.wait(deadline);
    }
}

asio::awaitable<void> Runner::read_on(Desk::Wanted wanted) {
    auto read = [store = store_, wanted] {
        return store->open_lines(wanted.batch, wanted.after ? &*wanted.after : nullptr, Desk::kAhead);
    };
    auto lines = co_await ipc::run_blocking(context_.pool, read);
    if (lines) {
        const bool last = lines->size() < Desk::kAhead;
        desk_.add_lines(wanted.batch, std::move(*lines), last);
        progress_.notify();  // there may have been none
    } else {
        spdlog::warn("batches: {}", lines.error().message);
        co_await changed_.wait(Clock::now() + kAfterTrouble);
        desk_.no_lines(wanted.batch);
    }
    lines_.notify();
}

void Runner::start_lines() {
    while (!stopping_ && n_unkept_ < kMostUnkept && unkept_bytes_ < kMostUnkeptBytes) {
        auto task = desk_.next(Clock::now(), width());
        if (!task) return;
        start_line(std::move(*task));
    }
}

void Runner::start_line(Task task) {
    const auto line = std::make_shared<InFlight>();
    line->active = active_.at(task.batch);
    line->task = std::move(task);
    in_flight_.push_back(line);
    ++n_coroutines_;
    const BatchRecord& record = line->active->record;
    serve::Caller caller{.tenant = record.tenant, .background = true};
    LinePlace place{store_->file_path(record.object.input_file_id), line->task.line.offset, line->task.line.bytes};
    auto ended = [self = shared_from_this(), line](const std::exception_ptr& thrown, Result<std::string> answer) {
        self->line_ended(line, thrown, std::move(answer));
        --self->n_coroutines_;
        self->progress_.notify();
    };
    asio::co_spawn(executor_,
                   answer_line(context_, responses_, std::move(caller), line->active->endpoint, std::move(place)),
                   asio::bind_cancellation_slot(line->cancel.slot(), std::move(ended)));
}

void Runner::line_ended(const std::shared_ptr<InFlight>& line, const std::exception_ptr& thrown,
                        Result<std::string> answer) {
    in_flight_.remove(line);
    lines_.notify();
    if (thrown) {
        if (line->stopped || stopping_ || was_stopped(thrown)) return desk_.put_back(std::move(line->task));
        spdlog::error("batches: a line of {} ended: {}", line->active->record.object.id, text_of(thrown));
        answer = fail(ErrorCode::kInternal, "The server failed to handle the request.");
    }
    // What came in spite of that is kept; but nothing that failed because of it.
    if (!answer && (line->stopped || stopping_)) return desk_.put_back(std::move(line->task));
    const std::optional<Error> error = answer ? std::nullopt : std::optional(answer.error());
    if (desk_.ended(line->task, error, Clock::now())) keep(line, answer);
}

void Runner::keep(const std::shared_ptr<InFlight>& line, const Result<std::string>& answer) {
    NewResult result{line->task.line.number, answer.has_value(), {}};
    const api::openai::LineIds ids{new_id("batch_req_"), new_id("req_"), line->task.line.custom_id};
    if (answer) {
        result.text = api::openai::encode_answer_line(ids, 200, *answer);
    } else {
        result.text =
            api::openai::encode_answer_line(ids, status_of_(answer.error()), api::openai::encode_error(answer.error()));
    }
    ++n_unkept_;
    unkept_bytes_ += result.text.size();
    line->active->answers.push_back(std::move(result));
    answered_.notify();
}

/// Whatever has come is written together, and what comes meanwhile the next time.
asio::awaitable<void> Runner::keep_answers() {
    for (;;) {
        const auto found = std::ranges::find_if(active_, [](const auto& one) { return !one.second->answers.empty(); });
        if (found == active_.end()) {
            if (stopping_ && in_flight_.empty()) co_return;
            co_await answered_.wait(ipc::Signal::kEver);
            continue;
        }
        co_await keep_answers_of(found->second);
    }
}

asio::awaitable<void> Runner::keep_answers_of(ActivePtr active) {
    const auto answers = std::make_shared<std::vector<NewResult>>(std::exchange(active->answers, {}));
    active->keeping = true;
    auto write = [store = store_, number = active->record.number, answers] {
        return keep_results(*store, number, *answers);
    };
    const auto kept = co_await ipc::run_blocking(context_.pool, write);
    if (!kept && !stopping_) {
        spdlog::warn("batches: {}: {}; it is tried again", active->record.object.id, kept.error().message);
        active->answers.insert(active->answers.begin(), std::make_move_iterator(answers->begin()),
                               std::make_move_iterator(answers->end()));
        active->keeping = false;
        co_await changed_.wait(Clock::now() + kAfterTrouble);
        co_return;
    }
    for (const NewResult& result : *answers) {
        --n_unkept_;
        unkept_bytes_ -= result.text.size();
        if (kept) ++(result.succeeded ? figures_.lines_completed : figures_.lines_failed);
    }
    active->keeping = false;
    progress_.notify();
    lines_.notify();
}

}  // namespace sutazai::batches
