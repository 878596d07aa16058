#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "catalog/catalog.h"
#include "ipc/engine_options.h"
#include "models/engine_slot.h"
#include "models/warm_model.h"

/// Weights that several engines have in memory once (docs/decisions/0036-warm-start-from-a-sibling.md). One I/O thread.
namespace sutazai::models {

using Slots = std::vector<std::shared_ptr<EngineSlot>>;

/// Says of each engine what others pay for, and of each model what it would find in memory. Of the engines that have
/// weights in common one pays: one that is not told to end, the one that would be the last to make room. So what
/// an engine is said to take is what would come back if it ended. Before it is loaded a model is promised only the
/// weights of its own file.
void settle_shared_weights(const WarmModels& models, const Slots& ending, std::uint64_t n_requests);

/// The engines whose weights an engine of the model may start from: those of its own file first, then those of its
/// architecture, no more than kMostSiblings.
[[nodiscard]] std::vector<ipc::EngineOptions::Sibling> siblings_of(const WarmModel& model, const WarmModels& models,
                                                                   const Slots& ending);

inline constexpr std::size_t kMostSiblings = 8;

/// Whether the catalogue has another engine's model that may have weights in common with this one: of the same file, or
/// of a file of about the same size. Memory that can be shared costs a load a tenth of its time more, which a model
/// without siblings is spared.
[[nodiscard]] bool may_have_siblings(const WarmModel& model, const catalog::Catalog& catalog);

}  // namespace sutazai::models
