#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/work_progress.h"

/// Work that takes long (a download, a conversion), and those who watch it.
namespace sutazai::serve {

class Job;

/// A look at a job. While there is one, the job goes on; when the last one goes, it is cancelled. On the I/O thread.
class JobWatch {
  public:
    explicit JobWatch(std::shared_ptr<Job> job);
    ~JobWatch();
    JobWatch(JobWatch&&) noexcept = default;
    JobWatch& operator=(JobWatch&&) = delete;

    /// What is new since the last call, in the order in which it was first told, of each status and digest the latest.
    /// Waits until there is something, and at least a tenth of a second between two calls. Empty when the job has ended
    /// and all has been told.
    [[nodiscard]] boost::asio::awaitable<std::vector<WorkProgress>> next();
    /// How it ended; nothing while it runs.
    [[nodiscard]] std::optional<Result<void>> result() const;

  private:
    using Clock = std::chrono::steady_clock;
    std::shared_ptr<Job> job_;
    std::uint64_t seen_ = 0;  // version
    Clock::time_point not_before_{};
};

/// The jobs that run, each on a thread of its own. On the I/O thread; outlived by its executor.
class Jobs {
  public:
    /// At once. A job is a disk's or a network's work, or takes all processors: more at once make none quicker.
    static constexpr std::size_t kMostRunning = 4;

    /// Done on the job's own thread. It looks at the token often and ends soon when it is to stop.
    using Work = std::move_only_function<Result<void>(const std::stop_token& stop, const ProgressSink& tell)>;

    explicit Jobs(boost::asio::any_io_executor executor);
    /// Cancels all jobs and waits for their threads.
    ~Jobs();
    Jobs(const Jobs&) = delete;
    Jobs& operator=(const Jobs&) = delete;

    /// Joins the job of this key, or starts it with `work`. One of this key that is being cancelled is waited for.
    /// kUnavailable when kMostRunning others run.
    [[nodiscard]] boost::asio::awaitable<Result<JobWatch>> watch(std::string key, Work work);
    [[nodiscard]] std::size_t running() const;
    /// At the server's end: nobody is kept waiting by what can be begun again.
    void cancel_all();

  private:
    struct Running {
        std::map<std::string, std::shared_ptr<Job>> jobs;
    };
    boost::asio::any_io_executor executor_;
    std::shared_ptr<Running> running_;  // shared with what ended jobs post
};

}  // namespace sutazai::serve
