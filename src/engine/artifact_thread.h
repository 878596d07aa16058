#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/progress.h"

namespace sutazai::engine {

/// The thread of the artifacts: it does one job after the other, and something else every now and then while there is
/// none. Whatever a job throws is logged, and the thread goes on.
class ArtifactThread {
  public:
    using Job = std::function<void()>;
    struct Habits {
        Job first;    ///< before any job
        Job regular;  ///< when there has been no job for `interval`, or none since the last time
        std::chrono::milliseconds interval;
    };
    explicit ArtifactThread(Habits habits);
    ~ArtifactThread();  ///< finishes the job that is being done, drops the others
    ArtifactThread(const ArtifactThread&) = delete;
    ArtifactThread& operator=(const ArtifactThread&) = delete;

    /// Any thread; does not wait.
    void post(Job job);
    /// Waits until all that was posted is done, at most so long. False when it is not. Any other thread.
    [[nodiscard]] bool wait_until_idle(std::chrono::milliseconds patience);
    /// It is to end as soon as can be. Any thread.
    [[nodiscard]] bool stopping() const;
    /// Of the jobs.
    [[nodiscard]] Progress& progress() { return progress_; }
    [[nodiscard]] const Progress& progress() const { return progress_; }

  private:
    void run();

    Habits habits_;
    Progress progress_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    bool stopping_ = false;
    bool busy_ = true;
    std::jthread thread_;
};

/// Does the work; logs what it throws and returns false then.
bool survives(const char* what, const std::function<void()>& work);

}  // namespace sutazai::engine
