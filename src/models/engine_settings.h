#pragma once

#include <cstdint>
#include <string>

#include "catalog/model_profile.h"
#include "config/settings.h"
#include "ipc/engine_options.h"
#include "models/memory_estimate.h"
#include "models/placement.h"

/// What the settings mean for engines. Pure, but for what the machine has.
namespace sutazai::models {

/// All but what the model decides.
[[nodiscard]] ipc::EngineOptions engine_options(const config::Settings& settings, std::string executable);
[[nodiscard]] EngineShape engine_shape(const config::Settings& settings);
/// The same for a model that is to be loaded so. `training_context`: tokens that it was trained for. `adapter_bytes`:
/// of its adapters.
[[nodiscard]] EngineShape shape_of(EngineShape shape, const catalog::LoadChoices& choices,
                                   std::uint64_t training_context, std::uint64_t adapter_bytes = 0,
                                   std::uint64_t projector_bytes = 0);
/// For all models together.
[[nodiscard]] placement::Room room_for_models(const config::Settings& settings);

}  // namespace sutazai::models
