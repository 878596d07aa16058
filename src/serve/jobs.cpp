#include "serve/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "base/thrown.h"
#include "ipc/signal.h"

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

/// Between two times that a watcher is told something.
constexpr std::chrono::milliseconds kRest{100};
/// Between two looks when there was nothing.
constexpr std::chrono::milliseconds kLook{20};

/// What the worker tells and the watchers read.
class Board {
  public:
    void tell(WorkProgress progress) {
        const std::lock_guard lock(mutex_);
        ++version_;
        const auto same = std::ranges::find_if(lines_, [&](const Line& line) {
            return line.progress.status == progress.status && line.progress.digest == progress.digest;
        });
        if (same == lines_.end()) {
            lines_.push_back({version_, std::move(progress)});
        } else if (same->progress != progress) {
            *same = {version_, std::move(progress)};
        }
    }
    void end(Result<void> result) {
        const std::lock_guard lock(mutex_);
        result_ = std::move(result);
    }
    std::vector<WorkProgress> news(std::uint64_t& seen) const {
        const std::lock_guard lock(mutex_);
        std::vector<WorkProgress> out;
        for (const Line& line : lines_) {
            if (line.version > seen) out.push_back(line.progress);
        }
        seen = version_;
        return out;
    }
    std::optional<Result<void>> result() const {
        const std::lock_guard lock(mutex_);
        return result_;
    }

  private:
    struct Line {
        std::uint64_t version;
        WorkProgress progress;
    };
    mutable std::mutex mutex_;
    std::vector<Line> lines_;  // a few dozen at most: statuses and blobs of one model
    std::uint64_t version_ = 0;
    std::optional<Result<void>> result_;
};

Error no_place() {
    return {ErrorCode::kUnavailable,
            fmt::format("{} models are being made or moved already; try again when one is done.", Jobs::kMostRunning),
            {},
            10};
}

Result<void> outcome_of(Jobs::Work& work, const std::stop_token& stop, const ProgressSink& tell) {
    try {
        return work(stop, tell);
    } catch (...) {
        return fail(ErrorCode::kInternal, text_of(std::current_exception()));
    }
}

}  // namespace

/// On the I/O thread, but for the board.
class Job {
  public:
    const std::shared_ptr<Board> board = std::make_shared<Board>();
    ipc::Signal ended;
    std::size_t n_watchers = 0;
    bool cancelled = false;
    std::jthread thread;  // last: it uses the rest

    void cancel() {
        cancelled = true;
        thread.request_stop();
    }
};

JobWatch::JobWatch(std::shared_ptr<Job> job) : job_(std::move(job)) {
    ++job_->n_watchers;
}

JobWatch::~JobWatch() {
    if (job_ && --job_->n_watchers == 0) job_->cancel();
}

asio::awaitable<std::vector<WorkProgress>> JobWatch::next() {
    const std::shared_ptr<Job> job = job_;
    for (;;) {
        const auto now = Clock::now();
        const bool ended = job->board->result().has_value();  // before what was told last
        if (ended || now >= not_before_) {
            auto news = job->board->news(seen_);
            if (ended || !news.empty()) {
                not_before_ = now + kRest;
                co_return news;
            }
        }
        co_await job->ended.wait(std::max(not_before_, now + kLook));
    }
}

std::optional<Result<void>> JobWatch::result() const {
    return job_->board->result();
}

Jobs::Jobs(asio::any_io_executor executor) : executor_(std::move(executor)), running_(std::make_shared<Running>()) {}

Jobs::~Jobs() {
    cancel_all();
    for (const auto& [key, job] : running_->jobs) job->thread = {};  // joined
}

void Jobs::cancel_all() {
    for (const auto& [key, job] : running_->jobs) job->cancel();
}

std::size_t Jobs::running() const {
    return running_->jobs.size();
}

asio::awaitable<Result<JobWatch>> Jobs::watch(std::string key, Work work) {
    for (;;) {
        const auto found = running_->jobs.find(key);
        if (found == running_->jobs.end()) break;
        const std::shared_ptr<Job> job = found->second;
        if (!job->cancelled) co_return JobWatch(job);
        co_await job->ended.wait(ipc::Signal::kEver);
    }
    if (running() >= kMostRunning) {
        co_return std::unexpected(no_place());
    }
    const auto job = std::make_shared<Job>();
    running_->jobs.emplace(key, job);
    // The thread has no share in the job, which must not end on it.
    job->thread = std::jthread([board = job->board, work = std::move(work), key, executor = executor_,
                                weak = std::weak_ptr(running_)](const std::stop_token& stop) mutable {
        const ProgressSink tell = [board](WorkProgress progress) { board->tell(std::move(progress)); };
        auto result = outcome_of(work, stop, tell);
        work = nullptr;
        board->end(std::move(result));
        asio::post(executor, [weak, key] {
            const auto running = weak.lock();
            if (!running) return;
            const auto found = running->jobs.find(key);
            if (found == running->jobs.end()) return;
            const std::shared_ptr<Job> ended = found->second;
            running->jobs.erase(found);
            ended->ended.notify();
        });
    });
    co_return JobWatch(job);
}

}  // namespace sutazai::serve
