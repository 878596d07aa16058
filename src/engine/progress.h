#pragma once

#include <atomic>
#include <cstdint>

namespace sutazai::engine {

/// How far one thread has got with its work, for somebody who watches that it gets on. Written by the thread that works
/// and by those that help it, read by any.
class Progress {
  public:
    void begin() { count_.fetch_or(1, std::memory_order_relaxed); }  ///< nothing while it is at work
    void advance() { count_.fetch_add(2, std::memory_order_relaxed); }
    void end() {
        if (at_work()) count_.fetch_add(1, std::memory_order_relaxed);
    }

    [[nodiscard]] bool at_work() const { return (count() & 1U) != 0; }
    /// Another number after each of the above that did something.
    [[nodiscard]] std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

    /// At work for as long as this lives.
    class Turn {
      public:
        explicit Turn(Progress& progress) : progress_(progress) { progress_.begin(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() { progress_.end(); }

      private:
        Progress& progress_;
    };

  private:
    std::atomic<std::uint64_t> count_{0};  ///< odd: at work
};

}  // namespace sutazai::engine
