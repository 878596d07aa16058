#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/guarded_thread.h"
#include "engine/progress.h"

namespace sutazai::engine {

/// What takes too long for the decode thread, done one after the other by a thread of its own that stands back for
/// others. The destructor waits for the one that runs and drops the rest.
class SlowDraws {
  public:
    explicit SlowDraws(OnDeath on_death);
    ~SlowDraws();
    SlowDraws(const SlowDraws&) = delete;
    SlowDraws& operator=(const SlowDraws&) = delete;

    /// Any thread. An exception that leaves `draw` is the thread's death.
    void post(std::move_only_function<void()> draw);

    /// Of the draws, one by one. Any thread.
    [[nodiscard]] const Progress& progress() const { return progress_; }

  private:
    void loop();

    Progress progress_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::move_only_function<void()>> draws_;
    bool stopping_ = false;
    std::jthread thread_;
};

}  // namespace sutazai::engine
