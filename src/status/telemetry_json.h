#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "models/model_manager.h"

/// What GET /api/v1/streaming/telemetry tells, as lines of JSON. Pure.
namespace sutazai::status {

/// One look at everything that is told, as JSON by name, so that two looks can be compared.
struct TelemetryLook {
    std::int64_t at_unix_ms = 0;
    std::string machine = {};                                     ///< an object: places, memory, engines that stand by
    std::map<std::string, std::string, std::less<>> models = {};  ///< objects, by the model's name
};

/// Models that are cold and had no request are left out: GET /v1/models has their names.
[[nodiscard]] TelemetryLook telemetry_look(std::chrono::system_clock::time_point now,
                                           std::span<const models::ModelStatus> models,
                                           const models::placement::Room& room,
                                           std::span<const models::StandbyStatus> standby);

/// {"type":"snapshot","seq","at","machine","models":[all of them]} and a line feed.
[[nodiscard]] std::string telemetry_snapshot(std::uint64_t sequence, const TelemetryLook& look);

/// {"type":"delta","seq","at", and what is another than before: "machine", "models":[...], "gone":[names]} and a line
/// feed.
[[nodiscard]] std::string telemetry_delta(std::uint64_t sequence, const TelemetryLook& before,
                                          const TelemetryLook& look);

}  // namespace sutazai::status
