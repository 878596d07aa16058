#include "engine/artifact_thread.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

namespace sutazai::engine {

using Clock = std::chrono::steady_clock;

ArtifactThread::ArtifactThread(Habits habits) : habits_(std::move(habits)) {
    thread_ = std::jthread([this] { run(); });
}

ArtifactThread::~ArtifactThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        jobs_.clear();
    }
    changed_.notify_all();
}

void ArtifactThread::run() {
    survives("the beginning", habits_.first);
    auto next_regular = Clock::now() + habits_.interval;
    std::unique_lock lock(mutex_);
    while (true) {
        busy_ = false;
        changed_.notify_all();
        changed_.wait_until(lock, next_regular, [&] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        busy_ = true;
        if (!jobs_.empty()) {
            const Job job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            {
                const Progress::Turn turn(progress_);
                survives("a job", job);
            }
            lock.lock();
            continue;
        }
        lock.unlock();
        survives("looking around", habits_.regular);
        next_regular = Clock::now() + habits_.interval;
        lock.lock();
    }
}

void ArtifactThread::post(Job job) {
    {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
}

bool ArtifactThread::wait_until_idle(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return stopping_ || (jobs_.empty() && !busy_); });
}

bool ArtifactThread::stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
}

bool survives(const char* what, const std::function<void()>& work) {
    try {
        work();
        return true;
    } catch (const std::exception& e) {
        spdlog::error("cache artifacts: {} failed: {}", what, e.what());
        return false;
    }
}

}  // namespace sutazai::engine
