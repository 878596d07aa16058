#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ipc/engine_client.h"
#include "models/backoff.h"
#include "models/model_status.h"

namespace sutazai::models {

/// Keeps engine processes started without a model, so that a cold model does not wait for a process to start. One that
/// dies or is taken is replaced, in a quiet moment and with a back-off. Lives on one I/O thread.
class StandbyPool : public std::enable_shared_from_this<StandbyPool> {
  public:
    using Clock = std::chrono::steady_clock;
    struct Options {
        std::size_t wanted = 0;
        std::string executable;
        std::vector<std::string> arguments;  ///< of every engine
        Backoff backoff;
        std::chrono::milliseconds settle{100};  ///< from the need of a process to its start, at least
        std::chrono::milliseconds most{1000};   ///< after so long the moment need not be quiet
    };
    /// What the owner knows. Asked often.
    struct Surroundings {
        std::function<std::uint64_t()> free_bytes;  ///< memory that no model takes
        std::function<bool()> quiet;                ///< nothing loads and nothing runs
    };

    StandbyPool(Options options, Surroundings surroundings);
    StandbyPool(const StandbyPool&) = delete;
    StandbyPool& operator=(const StandbyPool&) = delete;

    /// From now on there are to be processes, in time.
    void open(const boost::asio::any_io_executor& executor);
    /// One that is alive; null when there is none.
    [[nodiscard]] ipc::OwnedEngine take();
    [[nodiscard]] std::size_t size() const { return standing_by_.size(); }
    [[nodiscard]] std::vector<StandbyStatus> status() const;
    /// Something around has changed: ends those that there is no memory for, and sees to it that others are started.
    void adjust();
    /// Ends all; none are started any more.
    void close();

  private:
    [[nodiscard]] std::size_t n_to_have() const;
    void on_timer();
    void start_one();
    void on_exit(const ipc::EngineClient* engine, const std::string& why, Clock::time_point started);
    void look_at(Clock::time_point when);

    Options options_;
    Surroundings surroundings_;
    std::unique_ptr<boost::asio::steady_timer> timer_;  // null before open() and after close()
    Clock::time_point looks_at_ = Clock::time_point::max();
    Clock::time_point missing_since_;
    std::vector<ipc::OwnedEngine> standing_by_;
    std::uint64_t bytes_each_;
};

}  // namespace sutazai::models
