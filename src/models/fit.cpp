#include "models/fit.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_text.h"

namespace sutazai::models {

std::optional<Error> reason_not_to_fit(const std::string& name, const ModelMemory& memory, const WarmModels& models,
                                       const placement::Room& room) {
    const std::uint64_t needed = memory.expected_bytes();
    const MemoryEstimate& estimate = memory.estimate();
    if (needed > room.bytes) {
        return Error{ErrorCode::kLoadFailed,
                     fmt::format("'{}' could not be loaded: it needs {} (weights {}, KV {}, compute {}, process {}{}), "
                                 "and MODEL_CACHE_BYTES allows {}",
                                 name, byte_text(needed), byte_text(estimate.weights), byte_text(estimate.kv),
                                 byte_text(estimate.compute), byte_text(estimate.process),
                                 memory.correction() ? "; corrected by what was measured" : "", byte_text(room.bytes))};
    }
    placement::Room kept;
    std::string pinned, held;
    for (const auto& [key, other] : models) {
        const placement::Model seen = other->seen(0, {});  // neither its score nor the time matters
        if (other->name == name || !seen.pinned || seen.phase == placement::Phase::kCold) continue;
        ++kept.places;
        kept.bytes += seen.bytes;
        std::string& list = other->is_pinned() ? pinned : held;
        list += (list.empty() ? "" : ", ") + other->name;
    }
    const std::uint64_t free = room.bytes - std::min(kept.bytes, room.bytes);
    if (kept.places < room.places && needed <= free) return std::nullopt;
    std::string who;
    if (!pinned.empty()) who = fmt::format("what is pinned ({})", pinned);
    if (!held.empty()) who += fmt::format("{}what was just warmed up ({})", who.empty() ? "" : " and ", held);
    return Error{ErrorCode::kUnavailable,
                 fmt::format("'{}' needs a place and {}, and {} leaves {} of {} places and {} of {}", name,
                             byte_text(needed), who, room.places - std::min(kept.places, room.places), room.places,
                             byte_text(free), byte_text(room.bytes))};
}

}  // namespace sutazai::models
