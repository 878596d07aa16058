#pragma once

#include <boost/json/object.hpp>
#include <span>
#include <string>
#include <string_view>

#include "api/cache_manage.h"
#include "models/model_manager.h"
#include "serve/cache_orders.h"

/// What POST cache/manage answers, as JSON text. Pure.
namespace sutazai::status {

/// One model, as in "models" below.
[[nodiscard]] boost::json::object model_json(const models::ModelStatus& model);

/// {"action": "status", "config_problem": what is wrong with models.toml or null, figures of the cache as in
/// cache_status of the metrics, "max_models", "max_cache_size_mb", "standby_engines": [{"pid", "bytes"}...], "models":
/// [...]}. Sizes in bytes unless their name says MB (MiB); times in ISO 8601, null when there is none.
[[nodiscard]] std::string cache_status_json(std::span<const models::ModelStatus> models,
                                            const models::placement::Room& room,
                                            std::span<const models::StandbyStatus> standby,
                                            std::string_view config_problem = {});

/// {"action", "success": did all go well, "results": [...]}
[[nodiscard]] std::string cache_outcomes_json(api::CacheAction action, std::span<const serve::CacheOutcome> outcomes);

}  // namespace sutazai::status
