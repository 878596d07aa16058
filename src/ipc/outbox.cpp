#include "ipc/outbox.h"

#include <spdlog/spdlog.h>

#include "ipc/frame.h"

namespace sutazai::ipc {

Outbox::Outbox(int fd) : fd_(fd), thread_([this] { write_loop(); }) {}

Outbox::~Outbox() {
    flush();
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
}

void Outbox::send(const wire::FromEngine& message) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto appended = append_frame(pending_, message); !appended) {
            spdlog::error("a frame was not sent: {}", appended.error().message);
        }
    }
    changed_.notify_all();
}

void Outbox::flush(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [&] { return broken_ || (pending_.empty() && !writing_); });
}

void Outbox::write_loop() {
    std::string batch;
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [&] { return stopping_ || !pending_.empty(); });
        if (pending_.empty()) return;
        batch.swap(pending_);
        writing_ = true;
        lock.unlock();
        const bool written = write_all(fd_, batch).has_value();
        batch.clear();
        lock.lock();
        writing_ = false;
        broken_ |= !written;
        changed_.notify_all();
        if (broken_) return;
    }
}

}  // namespace sutazai::ipc
