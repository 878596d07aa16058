#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/cache_manage.h"
#include "base/artifact_action.h"
#include "models/model_manager.h"

namespace sutazai::serve {

/// What an action did with one model.
struct CacheOutcome {
    std::string model;
    bool success = false;
    std::string message;                                   ///< what happened, or why not
    models::ModelState state = models::ModelState::kCold;  ///< afterwards
    std::optional<ArtifactReport> artifacts;               ///< of save, load and prune
};

/// Carries out an order, anything but kStatus: one model after the other, because loads that run side by side only slow
/// each other down. A model that fails, fails alone. A cancelled wait ends the order; a load that has begun goes on.
[[nodiscard]] boost::asio::awaitable<std::vector<CacheOutcome>> carry_out(models::AdvancedModelManager& manager,
                                                                          api::CacheCommand command);

}  // namespace sutazai::serve
