#pragma once

#include "base/error.h"
#include "base/generation.h"
#include "catalog/model_profile.h"

namespace sutazai::serve {

/// What the request left open and the model has a default for. The order of what counts: the request, models.toml, the
/// store's parameters (both in `profile`, docs/decisions/0029-models-and-their-settings.md), the server. A chat without
/// a system message gets the model's; messages that come with the model go before all others. Pure.
void apply_defaults(const catalog::ModelProfile& profile, GenerationRequest& request);

/// The adapters that a request names, with their files, or those that the model has anyway. kInvalidArgument with the
/// field "adapters" for names that the model has none of, and for one that is there twice. Pure.
[[nodiscard]] Result<void> choose_adapters(const catalog::ModelProfile& profile, GenerationRequest& request);

}  // namespace sutazai::serve
