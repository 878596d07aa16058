#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "response.h"
#include "workload.h"

namespace sutazai::loadgen {

struct Outcome {
    Answer answer;
    Clock::time_point sent;  ///< when the request began, connecting included
    Clock::time_point done;
    int status = 0;  ///< 0: no response came
};

struct Run {
    Clock::time_point begun;
    Clock::time_point ended;
    std::vector<Outcome> outcomes;  ///< of each request, in the workload's order
};

/// Sends all of them to 127.0.0.1:`port` on the calling thread and comes back when all are answered or failed. A
/// request without an answer after `timeout` fails. Connections are kept and used again.
Run send_all(const std::vector<Request>& requests, std::uint16_t port, std::size_t concurrency,
             std::chrono::seconds timeout);

}  // namespace sutazai::loadgen
