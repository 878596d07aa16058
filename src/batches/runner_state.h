#pragma once

#include <boost/asio/cancellation_signal.hpp>
#include <chrono>
#include <vector>

#include "batches/runner.h"

/// What runner.cpp and runner_lines.cpp share.
namespace sutazai::batches {

inline constexpr std::chrono::seconds kAfterTrouble{2};  ///< with the disk

[[nodiscard]] inline UnixTime unix_now() {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

/// A batch that is being worked on.
struct Runner::Active {
    BatchRecord record;
    BatchEndpoint endpoint = BatchEndpoint::kChat;
    std::vector<NewResult> answers;  // that are to be kept
    bool keeping = false;            // some of them are being written
    bool cancelled = false;

    [[nodiscard]] bool is_late(UnixTime now) const { return now >= record.object.expires_at; }
};

/// A line that runs.
struct Runner::InFlight {
    Task task;
    ActivePtr active;
    boost::asio::cancellation_signal cancel;
    bool stopped = false;
};

}  // namespace sutazai::batches
