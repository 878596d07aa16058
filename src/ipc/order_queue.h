#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace sutazai::ipc {

/// Carries out orders one after the other, in the order in which they came, on a thread of its own. Each is carried out
/// or refused with the reason, never forgotten. Any thread.
class OrderQueue {
  public:
    struct Order {
        std::function<void()> carry_out;                     ///< an exception of it becomes a refusal
        std::function<void(const std::string& why)> refuse;  ///< must not throw
    };

    OrderQueue();
    ~OrderQueue();  ///< refuses what waits, and waits for what is being carried out
    OrderQueue(const OrderQueue&) = delete;
    OrderQueue& operator=(const OrderQueue&) = delete;

    void add(Order order);
    /// The same; what comes after it is refused at once.
    void add_last(Order order);

  private:
    void add(Order order, bool last);
    void work(const std::stop_token& stop);

    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::deque<Order> orders_;
    bool closed_ = false;
    std::jthread thread_;
};

}  // namespace sutazai::ipc
