#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/model_status.h"
#include "models/placement.h"
#include "status/machine.h"

/// How the server is, as GET health/advanced tells it. Pure.
namespace sutazai::status {

enum class Health : std::uint8_t {
    kHealthy,   ///< every model is warm or can be loaded when it is asked for
    kDegraded,  ///< it serves, but something is wrong or soon will be
    kUnhealthy  ///< no model can serve: there is none, all failed, or the server is shutting down
};

struct HealthFacts {
    std::span<const models::ModelStatus> models = {};
    std::string_view config_problem = {};  ///< of models.toml
    bool draining = false;
    std::string_view version = {};
    double uptime_s = 0;
    std::uint64_t max_queue = 0;  ///< requests that may wait for one model
    models::placement::Room room = {};
    std::size_t standby_engines = 0;
    Machine machine = {};
};

struct Verdict {
    Health health = Health::kHealthy;
    std::vector<std::string> reasons;  ///< sentences; none when all is well
};
[[nodiscard]] Verdict judge(const HealthFacts& facts);

/// {"status": "healthy", "degraded" or "unhealthy", "gpu_available", "active_processors": models that are warm,
/// "reasons", "version", "uptime_s", "devices", "queue", "memory", "disks", "models": states, "standby_engines"}, and
/// "config_problem" when there is one. Sizes in bytes.
[[nodiscard]] std::string advanced_health(const HealthFacts& facts, const Verdict& verdict);

}  // namespace sutazai::status
