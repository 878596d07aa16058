#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "models/model_memory.h"
#include "models/placement.h"
#include "models/warm_model.h"

namespace sutazai::models {

/// Why a model cannot fit into `room`, however many of the others leave: it alone is too large (kLoadFailed, with the
/// numbers), or those that never leave, pinned ones and those that were just warmed up, take too much (kUnavailable).
[[nodiscard]] std::optional<Error> reason_not_to_fit(const std::string& name, const ModelMemory& memory,
                                                     const WarmModels& models, const placement::Room& room);

}  // namespace sutazai::models
