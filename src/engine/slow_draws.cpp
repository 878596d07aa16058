#include "engine/slow_draws.h"

#include <utility>

namespace sutazai::engine {

SlowDraws::SlowDraws(OnDeath on_death)
    : thread_(guarded_thread("the thread of slow draws", std::move(on_death), [this] { loop(); })) {}

SlowDraws::~SlowDraws() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        draws_.clear();
    }
    ready_.notify_one();
}

void SlowDraws::post(std::move_only_function<void()> draw) {
    {
        const std::lock_guard lock(mutex_);
        draws_.push_back(std::move(draw));
    }
    ready_.notify_one();
}

void SlowDraws::loop() {
    stand_back();  // streams that compute come first
    std::unique_lock lock(mutex_);
    while (true) {
        ready_.wait(lock, [&] { return stopping_ || !draws_.empty(); });
        if (stopping_) return;
        auto draw = std::move(draws_.front());
        draws_.pop_front();
        lock.unlock();
        {
            const Progress::Turn turn(progress_);
            draw();
            draw = nullptr;
        }
        lock.lock();
    }
}

}  // namespace sutazai::engine
