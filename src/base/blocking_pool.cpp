#include "base/blocking_pool.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

namespace sutazai {

BlockingPool::BlockingPool(std::size_t n_threads, std::size_t most_queued) : most_queued_(most_queued) {
    threads_.reserve(n_threads);
    for (std::size_t i = 0; i < n_threads; ++i) threads_.emplace_back([this] { run(); });
}

BlockingPool::~BlockingPool() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    threads_.clear();
}

bool BlockingPool::post(Work work) {
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() >= most_queued_) return false;
        queue_.push_back(std::move(work));
    }
    changed_.notify_one();
    return true;
}

void BlockingPool::run() {
    ::pthread_setname_np(::pthread_self(), "blocking");
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (queue_.empty()) return;
        Work work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        try {
            work();
        } catch (const std::exception& error) {
            spdlog::error("work beside the event loop failed: {}", error.what());
        } catch (...) {
            spdlog::error("work beside the event loop failed");
        }
        work = nullptr;  // before the lock: its captures may take long to destroy
        lock.lock();
    }
}

}  // namespace sutazai
