#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sutazai {

/// A few threads for what would hold an event loop: files, and computing that takes more than a millisecond. Coroutines
/// wait for such work with ipc/run_blocking.h. Any thread may call it.
class BlockingPool {
  public:
    using Work = std::move_only_function<void()>;
    static constexpr std::size_t kDefaultThreads = 2;
    static constexpr std::size_t kDefaultQueue = 4096;

    /// Starts the threads. `most_queued` counts work that no thread has taken up yet.
    explicit BlockingPool(std::size_t n_threads = kDefaultThreads, std::size_t most_queued = kDefaultQueue);

    /// Does what is queued, then ends the threads: what was taken is done. Who is told of results by this work (an
    /// io_context) must outlive the pool.
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    /// Queues `work`, first come first served; false, and nothing is done, when the queue is full. What `work` throws
    /// is logged and dropped. Never waits.
    [[nodiscard]] bool post(Work work);

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> queue_;
    const std::size_t most_queued_;
    bool ending_ = false;
    std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace sutazai
