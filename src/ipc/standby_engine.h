#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace sutazai::ipc {

class Connection;

/// An engine process that has been started, has its libraries and its backend, and waits to be told what to load:
/// EngineClient::start() takes it. One that is not taken ends with this object. Lives on the executor's one I/O thread,
/// which started it.
class StandbyEngine {
  public:
    /// kInternal when the process could not be started. `arguments` follow those that every engine gets.
    [[nodiscard]] static Result<std::unique_ptr<StandbyEngine>> spawn(const boost::asio::any_io_executor& executor,
                                                                      const std::string& executable,
                                                                      const std::vector<std::string>& arguments);
    explicit StandbyEngine(std::shared_ptr<Connection> connection);
    StandbyEngine(const StandbyEngine&) = delete;
    StandbyEngine& operator=(const StandbyEngine&) = delete;
    ~StandbyEngine();

    [[nodiscard]] int pid() const;     ///< 0 once it is gone
    [[nodiscard]] bool alive() const;  ///< as the kernel has it
    /// Called once when the process ends by itself while it is here, on the I/O thread.
    void on_exit(std::function<void(std::string why)> handler);

    /// Hands the process over; it no longer ends with this object.
    [[nodiscard]] std::shared_ptr<Connection> release();

  private:
    std::shared_ptr<Connection> connection_;
};

}  // namespace sutazai::ipc
