#pragma once

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// Process-wide logging to standard error through spdlog's default logger (`spdlog::info(...)` and so on, any thread).
/// Nothing logged may hold prompt text, answers or keys.
namespace sutazai::log {

enum class Writing : std::uint8_t {
    kAtOnce,  ///< by the thread that logs, which waits when nobody reads standard error
    kBeside   ///< by a thread of its own; when thousands of lines wait, the oldest are dropped
};

/// Sets level ("trace" to "error") and format up; `json` writes one object a line with ts (UTC, ISO 8601), level, msg
/// and process ("server" or "engine:<model>"). Either way a message is one line without control characters and marks of
/// writing directions (visible_text.h). Call once, before threads start.
void init(std::string_view level, bool json, std::string_view process, Writing writing = Writing::kAtOnce);

/// Writes what waits, and ends logging: nothing may log afterwards. False when that took longer than `patience`; then
/// only _Exit() ends the process without waiting for whoever should read standard error.
[[nodiscard]] bool finish(std::chrono::milliseconds patience);

}  // namespace sutazai::log
