#pragma once

#include "base/artifact_action.h"
#include "base/engine_stats.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/prompt_progress.h"
#include "ipc/engine_options.h"
#include "proto/engine.pb.h"

/// Between the plain structs and the messages of proto/engine.proto. Pure; each pair is the other's inverse.
namespace sutazai::ipc {

[[nodiscard]] wire::Submit to_wire(RequestId id, GenerationRequest request);
[[nodiscard]] GenerationRequest from_wire(wire::Submit submit);

/// All that an update holds beside its end.
[[nodiscard]] wire::Delta to_wire(RequestId id, const GenerationUpdate& update);
[[nodiscard]] GenerationUpdate from_wire(const wire::Delta& delta);

[[nodiscard]] wire::Finished to_wire(RequestId id, const Finished& finished);
[[nodiscard]] Finished from_wire(const wire::Finished& finished);  ///< an unknown reason becomes kStop

[[nodiscard]] wire::PromptProgress to_wire(RequestId id, const PromptProgress& progress);
[[nodiscard]] PromptProgress from_wire(const wire::PromptProgress& progress);

[[nodiscard]] wire::Failed to_wire(RequestId id, Error error);
[[nodiscard]] Error from_wire(const wire::Failed& failed);  ///< an unknown code becomes kInternal

[[nodiscard]] wire::Load to_wire(const EngineOptions& options);  ///< all but what is for the server alone
[[nodiscard]] EngineOptions from_wire(const wire::Load& load);

[[nodiscard]] wire::Loaded to_wire(const ModelInfo& info);
[[nodiscard]] ModelInfo from_wire(const wire::Loaded& loaded);

[[nodiscard]] wire::Stats to_wire(const EngineStats& stats);
[[nodiscard]] EngineStats from_wire(const wire::Stats& stats);

/// Of an order that was not refused.
[[nodiscard]] wire::ArtifactReport to_wire(std::uint64_t id, ArtifactReport report);
[[nodiscard]] ArtifactReport from_wire(const wire::ArtifactReport& report);

}  // namespace sutazai::ipc
