#pragma once

#include "catalog/catalog.h"
#include "models/model_status.h"
#include "models/warm_model.h"
#include "upstream/upstreams.h"

namespace sutazai::models {

inline constexpr const char* kChangedOnDisk = "changed on disk";
inline constexpr const char* kFileGone = "its file is gone";

/// What can be seen of a model. `listed`: its file as the catalogue has it now; null when there is none that
/// can be used.
[[nodiscard]] ModelStatus status_of(const WarmModel& model, const catalog::ModelFile* listed);

/// Of one that another server has.
[[nodiscard]] ModelStatus status_of_remote(const catalog::ModelFile& listed, upstream::Upstreams& upstreams);

}  // namespace sutazai::models
