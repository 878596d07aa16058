#include "ipc/order_queue.h"

#include <exception>
#include <utility>

namespace sutazai::ipc {
namespace {

constexpr const char* kStopping = "the engine is being stopped";

}  // namespace

OrderQueue::OrderQueue() : thread_([this](const std::stop_token& stop) { work(stop); }) {}

OrderQueue::~OrderQueue() {
    thread_.request_stop();
    thread_.join();
    for (const Order& order : orders_) order.refuse(kStopping);
}

void OrderQueue::add(Order order) {
    add(std::move(order), false);
}

void OrderQueue::add_last(Order order) {
    add(std::move(order), true);
}

void OrderQueue::add(Order order, bool last) {
    {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(closed_, closed_ || last)) {
            orders_.push_back(std::move(order));
            changed_.notify_one();
            return;
        }
    }
    order.refuse(kStopping);
}

void OrderQueue::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return !orders_.empty(); }) && !stop.stop_requested()) {
        const Order order = std::move(orders_.front());
        orders_.pop_front();
        lock.unlock();
        try {
            order.carry_out();
        } catch (const std::exception& e) {
            order.refuse(e.what());
        }
        lock.lock();
    }
}

}  // namespace sutazai::ipc
