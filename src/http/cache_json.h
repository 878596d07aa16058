#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "api/cache_manage.h"
#include "base/artifact_action.h"
#include "models/model_manager.h"

/// What POST cache/manage answers, as JSON text. Pure.
namespace sutazai::http {

/// What an action did with one model.
struct CacheOutcome {
    std::string model;
    bool success = false;
    std::string message;                                   ///< what happened, or why not
    models::ModelState state = models::ModelState::kCold;  ///< afterwards
    std::optional<ArtifactReport> artifacts;               ///< of save, load and prune
};

/// {"action": "status", figures of the cache as in cache_status of the metrics, "max_models", "max_cache_size_mb",
/// "standby_engines": [{"pid", "bytes"}...], "models": [...]}. Sizes in bytes unless their name says MB (MiB); times in
/// ISO 8601, null when there is none.
[[nodiscard]] std::string cache_status_json(std::span<const models::ModelStatus> models,
                                            const models::placement::Room& room,
                                            std::span<const models::StandbyStatus> standby);

/// {"action", "success": did all go well, "results": [...]}
[[nodiscard]] std::string cache_outcomes_json(api::CacheAction action, std::span<const CacheOutcome> outcomes);

}  // namespace sutazai::http
