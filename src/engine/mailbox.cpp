#include "engine/mailbox.h"

#include <algorithm>
#include <future>
#include <utility>

namespace sutazai::engine {

void Mailbox::post(Prepared prepared) {
    {
        const std::lock_guard lock(mutex_);
        n_arrived_ += static_cast<int>(prepared.wanted().size());
        mail_.prepared.push_back(std::move(prepared));
    }
    ready_.notify_one();
}

void Mailbox::post(FetchedBlocks blocks) {
    {
        const std::lock_guard lock(mutex_);
        mail_.fetched.push_back(std::move(blocks));
    }
    ready_.notify_one();
}

void Mailbox::post(DrawnToken drawn) {
    {
        const std::lock_guard lock(mutex_);
        mail_.drawn.push_back(std::move(drawn));
    }
    ready_.notify_one();
}

void Mailbox::cancel(RequestId id) {
    {
        const std::lock_guard lock(mutex_);
        mail_.cancelled.push_back(id);
    }
    ready_.notify_one();
}

bool Mailbox::run(const std::function<void()>& task) {
    auto done = std::make_shared<std::promise<void>>();
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        mail_.tasks.emplace_back([&task, done] {
            task();
            done->set_value();
        });
    }
    ready_.notify_one();
    const auto finished = done->get_future();
    while (finished.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
        const std::lock_guard lock(mutex_);
        // A task that was not taken never will be; one that was is waited for.
        if (stopping_ && !std::exchange(mail_.tasks, {}).empty()) return false;
    }
    return true;
}

void Mailbox::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_all();
    idle_.notify_all();
}

Mailbox::Standing Mailbox::standing() const {
    const std::lock_guard lock(mutex_);
    return standing_;
}

int Mailbox::crowd() const {
    const std::lock_guard lock(mutex_);
    return standing_.waiting + n_arrived_ - std::max(0, standing_.batch_width - standing_.running);
}

void Mailbox::wait_until_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return stopping_ || (!standing_.is_open && mail_.prepared.empty()); });
}

std::optional<Mailbox::Mail> Mailbox::receive(const Standing& standing, std::chrono::microseconds patience) {
    std::unique_lock lock(mutex_);
    standing_ = standing;
    if (!standing_.is_open) idle_.notify_all();
    const auto is_there = [&] { return stopping_ || !mail_.empty(); };
    if (patience == kForEver) {
        ready_.wait(lock, is_there);
    } else if (patience > std::chrono::microseconds(0)) {
        ready_.wait_for(lock, patience, is_there);
    }
    if (stopping_) return std::nullopt;
    standing_.is_open = true;  // what is taken now is not yet in the scheduler
    standing_.waiting += n_arrived_.exchange(0);
    return std::exchange(mail_, {});
}

}  // namespace sutazai::engine
