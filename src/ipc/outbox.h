#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "proto/engine.pb.h"

namespace sutazai::ipc {

/// Frames on their way from the engine to the server. Anybody may add; one thread writes, so that a slow server holds
/// up nobody else.
class Outbox {
  public:
    explicit Outbox(int fd);  ///< a blocking socket, open for as long as this lives
    ~Outbox();                ///< after flush()
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    /// The message must fit into a frame (step_frames() sees to that): one that does not is logged and lost.
    void send(const wire::FromEngine& message);
    /// Returns when all that was sent is with the kernel, or the server is gone, or `patience` is over.
    void flush(std::chrono::milliseconds patience = std::chrono::hours(24));

  private:
    void write_loop();

    int fd_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string pending_;
    bool writing_ = false;
    bool broken_ = false;
    bool stopping_ = false;
    std::jthread thread_;
};

}  // namespace sutazai::ipc
