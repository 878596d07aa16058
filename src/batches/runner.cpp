#include "batches/runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "base/thrown.h"
#include "batches/file_writer.h"
#include "batches/input_reader.h"
#include "batches/runner_state.h"
#include "ipc/run_blocking.h"

namespace sutazai::batches {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kLook{1};      // between two looks at the store: another server may have changed it
constexpr seconds kIdleLook{5};  // while it holds nothing, or another server runs its batches
constexpr seconds kTidy{600};    // between two removals of what is past its time
constexpr std::size_t kMostActive = 16;
}  // namespace

Runner::Runner(serve::Context& context, std::shared_ptr<Store> store, serve::Responses& responses,
               std::function<unsigned(const Error&)> status_of)
    : context_(context), store_(std::move(store)), responses_(responses), status_of_(std::move(status_of)) {}

void Runner::spawn(asio::awaitable<void> work, const char* what) {
    ++n_coroutines_;
    asio::co_spawn(executor_, std::move(work), [self = shared_from_this(), what](const std::exception_ptr& thrown) {
        if (thrown) spdlog::error("batches: {} ended: {}", what, text_of(thrown));
        --self->n_coroutines_;
        self->progress_.notify();
    });
}

void Runner::start(const asio::any_io_executor& executor) {
    executor_ = executor;
    context_.foreground.on_change = [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->make_way();
    };
    spawn(keep_looking(), "the look at batches");
    spawn(hand_out(), "the running of lines");
    spawn(keep_answers(), "the keeping of answers");
}

asio::awaitable<void> Runner::stop() {
    const auto self = shared_from_this();
    stopping_ = true;
    for (const auto& line : in_flight_) {
        line->stopped = true;
        line->cancel.emit(asio::cancellation_type::terminal);
    }
    while (n_coroutines_ > 0) {
        for (ipc::Signal* signal : {&changed_, &lines_, &answered_}) signal->notify();
        co_await progress_.wait(Clock::now() + milliseconds(100));
    }
    context_.foreground.on_change = nullptr;
    lock_.reset();
}

Figures Runner::figures() const {
    Figures out = figures_;
    out.lines_running = in_flight_.size();
    out.runs_here = lock_ != nullptr;
    return out;
}

// --- which batches there are

asio::awaitable<void> Runner::keep_looking() {
    while (!stopping_) {
        auto ask = [store = store_] { return store->exists(); };
        const auto exists = co_await ipc::run_blocking(context_.pool, ask);
        seconds rest = kIdleLook;
        if (exists && *exists) {
            const bool runs = co_await have_lock();
            if (runs) {
                co_await look();
                rest = kLook;
            }
        }
        if (stopping_) break;
        co_await changed_.wait(Clock::now() + rest);
    }
}

asio::awaitable<bool> Runner::have_lock() {
    if (lock_) co_return true;
    auto take = [store = store_]() -> Result<std::unique_ptr<FolderLock>> {
        if (auto opened = store->open(); !opened) return std::unexpected(std::move(opened.error()));
        auto lock = std::make_unique<FolderLock>(store->folder() / "runner.lock", FolderLock::Mode::kExclusive, 0);
        if (!lock->held()) return nullptr;
        return lock;
    };
    auto lock = co_await ipc::run_blocking(context_.pool, take);
    if (!lock) {
        spdlog::warn("batches: {}", lock.error().message);
        co_return false;
    }
    lock_ = std::move(*lock);
    co_return lock_ != nullptr;
}

asio::awaitable<void> Runner::tidy_up() {
    const bool first = tidied_ == Desk::Time{};
    if (!first && Clock::now() - tidied_ < kTidy) co_return;
    tidied_ = Clock::now();
    auto remove = [store = store_, keep_s = std::int64_t{context_.settings.batch_retention_days} * 86400] {
        remove_left_over(*store);
        const UnixTime now = unix_now();
        const auto expired = store->remove_expired_files(now);
        if (expired) {
            std::error_code ignored;
            for (const std::string& id : *expired) std::filesystem::remove(store->file_path(id), ignored);
        }
        return store->remove_batches_before(now - keep_s);
    };
    const auto removed = co_await ipc::run_blocking(context_.pool, remove);
    if (!removed) spdlog::warn("batches: {}", removed.error().message);
}

asio::awaitable<void> Runner::look() {
    co_await tidy_up();
    just_ended_.clear();
    auto list = [store = store_] { return store->unfinished(); };
    auto unfinished = co_await ipc::run_blocking(context_.pool, list);
    if (!unfinished) {
        spdlog::warn("batches: {}", unfinished.error().message);
        co_return;
    }
    figures_.unfinished = unfinished->size();
    if (!stopping_) take_up(std::move(*unfinished));
}

/// A few at a time, of each tenant as many as of others while others have some. What is to end is no work, and goes on
/// at once.
void Runner::take_up(std::vector<BatchRecord> unfinished) {
    std::map<std::string, std::size_t> of_tenant;
    for (const auto& [number, active] : active_) ++of_tenant[active->record.tenant];
    std::vector<BatchRecord*> waiting;
    for (BatchRecord& record : unfinished) {
        const auto found = active_.find(record.number);
        if (found == active_.end()) {
            if (!just_ended_.contains(record.number)) waiting.push_back(&record);
        } else if (record.object.status == BatchStatus::kCancelling && !found->second->cancelled) {
            found->second->cancelled = true;
            progress_.notify();
        }
    }
    const UnixTime now = unix_now();
    while (!waiting.empty()) {
        const auto next =
            std::ranges::min_element(waiting, {}, [&](const BatchRecord* record) { return of_tenant[record->tenant]; });
        BatchRecord& record = **next;
        waiting.erase(next);
        const bool is_to_end = record.object.status == BatchStatus::kCancelling || now >= record.object.expires_at;
        if (active_.size() >= kMostActive && !is_to_end) continue;
        ++of_tenant[record.tenant];
        const auto active = std::make_shared<Active>();
        active->endpoint = api::openai::batch_endpoint(record.object.endpoint).value_or(BatchEndpoint::kChat);
        active->cancelled = record.object.status == BatchStatus::kCancelling;
        active->record = std::move(record);
        active_.emplace(active->record.number, active);
        spawn(drive(active), "a batch");
    }
}

// --- one batch

asio::awaitable<void> Runner::drive(ActivePtr active) {
    const std::string id = active->record.object.id;
    BatchStatus& status = active->record.object.status;
    Result<void> done;
    if (status == BatchStatus::kValidating && !active->is_late(unix_now())) {
        const auto valid = co_await validate(active);
        if (!valid) done = std::unexpected(valid.error());
        if (valid && !*valid) {  // it has failed
            just_ended_.insert(active->record.number);
            active_.erase(active->record.number);
            changed_.notify();
            co_return;
        }
    }
    if (done && status == BatchStatus::kInProgress) co_await work(active);
    if (done && !stopping_) done = co_await finish(active);
    if (!done) {
        spdlog::warn("batches: {}: {}; it is tried again", id, done.error().message);
        co_await progress_.wait(Clock::now() + kAfterTrouble);
    }
    just_ended_.insert(active->record.number);
    active_.erase(active->record.number);
    changed_.notify();
}

/// True when its lines are there to be run, or it was cancelled meanwhile; false when it has failed.
asio::awaitable<Result<bool>> Runner::validate(ActivePtr active) {
    const std::int64_t number = active->record.number;
    auto begin = [store = store_, record = active->record,
                  limits = InputLimits{context_.settings.batch_max_lines,
                                       static_cast<std::size_t>(context_.settings.max_body_bytes)}] {
        return InputReader::begin(*store, record, limits);
    };
    auto begun = co_await ipc::run_blocking(context_.pool, begin);
    if (!begun) co_return std::unexpected(std::move(begun.error()));
    const auto reader = std::make_shared<InputReader>(std::move(*begun));
    for (bool all_read = false; !all_read;) {
        auto step = [reader, store = store_] { return reader->step(); };
        const auto stepped = co_await ipc::run_blocking(context_.pool, step);
        if (!stepped) co_return std::unexpected(stepped.error());
        if (stopping_ || active->cancelled || active->is_late(unix_now())) co_return true;
        all_read = *stepped;
    }
    auto decide = [reader, store = store_, number]() -> Result<bool> {
        if (reader->errors().empty()) return store->begin_work(number, unix_now());
        return store->refuse(number, reader->errors(), unix_now());
    };
    const auto decided = co_await ipc::run_blocking(context_.pool, decide);
    if (!decided) co_return std::unexpected(decided.error());
    if (!*decided) {
        active->cancelled = true;
        co_return true;
    }
    if (!reader->errors().empty()) {
        spdlog::info("batches: {} failed: its input file has errors", active->record.object.id);
        co_return false;
    }
    active->record.object.status = BatchStatus::kInProgress;
    active->record.object.in_progress_at = unix_now();
    spdlog::info("batches: {} is in progress", active->record.object.id);
    co_return true;
}

/// Until all its lines have their answers, or it is to end for another reason.
asio::awaitable<void> Runner::work(ActivePtr active) {
    const std::int64_t number = active->record.number;
    desk_.add_batch(number);
    lines_.notify();
    const auto kept = [&] { return active->answers.empty() && !active->keeping; };
    while (!stopping_ && !active->cancelled && !active->is_late(unix_now()) && !(desk_.is_done(number) && kept())) {
        const auto left = seconds(active->record.object.expires_at - unix_now());
        co_await progress_.wait(Clock::now() + std::clamp<Clock::duration>(left, milliseconds(100), kLook));
    }
    desk_.remove_batch(number);  // or those that are stopped would be begun again
    stop_lines(number);
    const auto runs = [&] {
        return std::ranges::any_of(in_flight_, [&](auto& line) { return line->active == active; });
    };
    while (runs() || !kept()) co_await progress_.wait(Clock::now() + milliseconds(100));
    lines_.notify();
}

/// Makes its files and ends it.
asio::awaitable<Result<void>> Runner::finish(ActivePtr active) {
    const BatchRecord& record = active->record;
    const UnixTime now = unix_now();
    auto look = [store = store_, number = record.number]() -> Result<BatchStatus> {
        if (auto begun = store->begin_finalizing(number, unix_now()); !begun) return std::unexpected(begun.error());
        return store->status(number);
    };
    const auto status = co_await ipc::run_blocking(context_.pool, look);
    if (!status) co_return std::unexpected(status.error());
    if (api::openai::has_ended(*status)) co_return Result<void>{};
    const std::int64_t keep_s = record.output_expires_after_s > 0
                                    ? record.output_expires_after_s
                                    : std::int64_t{context_.settings.batch_retention_days} * 86400;
    auto choose = [store = store_, status = *status, number = record.number,
                   begun = record.object.in_progress_at > 0]() -> Result<BatchStatus> {
        // Lines that were read of a file that nobody has vouched for are none.
        if (!begun) {
            if (auto gone = store->begin_lines(number); !gone) return std::unexpected(std::move(gone.error()));
        }
        if (status == BatchStatus::kCancelling) return BatchStatus::kCancelled;
        const auto open = store->open_lines(number, nullptr, 1);
        if (!open) return std::unexpected(open.error());
        return !begun || !open->empty() ? BatchStatus::kExpired : BatchStatus::kCompleted;
    };
    const auto end = co_await ipc::run_blocking(context_.pool, choose);
    if (!end) co_return std::unexpected(end.error());
    const auto finishing = std::make_shared<Finishing>(*store_, record, *end, now, now + keep_s);
    for (bool ended = false; !ended;) {
        if (stopping_) co_return Result<void>{};
        auto step = [finishing, store = store_] { return finishing->step(); };
        const auto stepped = co_await ipc::run_blocking(context_.pool, step);
        if (!stepped) co_return std::unexpected(stepped.error());
        ended = *stepped;
    }
    spdlog::info("batches: {} is {}", record.object.id, to_string(*end));
    co_return Result<void>{};
}

}  // namespace sutazai::batches
