#pragma once

#include <cstddef>
#include <functional>

#include "serve/caller.h"

namespace sutazai::serve {

/// Answers that somebody waits for, as opposed to those of a batch, which make way for them. On the I/O thread.
class Foreground {
  public:
    [[nodiscard]] std::size_t running() const { return n_running_; }
    /// Called when the first one begins and when the last one ends.
    std::function<void()> on_change = {};

    /// While an answer is being made. Answers of a batch do not count.
    class Hold {
      public:
        Hold(Foreground& foreground, const Caller& caller) : foreground_(caller.background ? nullptr : &foreground) {
            if (foreground_ != nullptr && ++foreground_->n_running_ == 1) foreground_->changed();
        }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        ~Hold() {
            if (foreground_ != nullptr && --foreground_->n_running_ == 0) foreground_->changed();
        }

      private:
        Foreground* foreground_;
    };

  private:
    void changed() const {
        if (on_change) on_change();
    }

    std::size_t n_running_ = 0;
};

}  // namespace sutazai::serve
