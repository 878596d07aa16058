#pragma once

#include <string>

#include "config/settings.h"
#include "ipc/engine_options.h"
#include "models/memory_estimate.h"
#include "models/placement.h"

/// What the settings mean for engines. Pure, but for what the machine has.
namespace sutazai::models {

/// All but what the model decides.
[[nodiscard]] ipc::EngineOptions engine_options(const config::Settings& settings, std::string executable);
[[nodiscard]] EngineShape engine_shape(const config::Settings& settings);
/// For all models together.
[[nodiscard]] placement::Room room_for_models(const config::Settings& settings);

}  // namespace sutazai::models
