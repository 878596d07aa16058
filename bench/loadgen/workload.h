#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What to send. One JSON object a line:
///   {"body": {...}, "at_ms": 1500, "label": "long", "path": "/v1/chat/completions"}
/// A request with `at_ms` is sent that long after the start, whatever else runs (open loop). Those without are taken in
/// turn by --concurrency workers, each sending its next when its last is answered (closed loop).
namespace sutazai::loadgen {

struct Request {
    std::string wire;  ///< the whole HTTP request
    std::string label;
    std::optional<std::chrono::milliseconds> at;
};

/// Throws std::runtime_error that names the line. `default_path` is for lines without "path"; `port` goes into Host.
std::vector<Request> read_workload(const std::string& file, const std::string& default_path, std::uint16_t port);

}  // namespace sutazai::loadgen
