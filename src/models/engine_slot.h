#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/duration.h"
#include "base/model_parts.h"
#include "ipc/engine_client.h"
#include "ipc/signal.h"
#include "models/placement.h"

namespace sutazai::models {

/// One engine process that has loaded its model. Shared by the model and the leases on it; who is last ends it.
struct EngineSlot {
    using Time = placement::Time;
    std::string model;  // by which it was first asked for
    ipc::OwnedEngine engine;
    std::function<void(const std::shared_ptr<EngineSlot>&)> on_idle;  // its last lease has ended
    std::size_t n_leases = 0;
    std::size_t n_reserving = 0;  // of those
    bool leaving = false;         // no new leases; it is evicted when the last one ends
    bool dismissed = false;       // leaving because somebody ordered it
    bool stale = false;           // leaving because the model is to be loaded anew: its file is another one now, say
    FileStamps stamps;            // of the file that it was loaded from
    KeepAlive keep_alive{0};      // as the last request has it
    Time loaded_at;
    Time idle_since;
    std::optional<Time> unload_at;  // once idle
    Time measured_at;
    std::uint64_t measured_bytes = 0;  // the most so far
    std::uint64_t paid_by_others = 0;  // of that: weights that count for another engine that has them too
    ipc::Signal idle;
    bool ended = false;  // the process is gone
    ipc::Signal gone;

    /// Of what it takes, what would come back if it ended.
    [[nodiscard]] std::uint64_t own_bytes(std::uint64_t taken) const { return taken - std::min(taken, paid_by_others); }
    /// Its last lease has ended.
    void begins_to_idle(Time now) {
        idle_since = now;
        unload_at.reset();
        if (keep_alive.count() >= 0) unload_at = now + keep_alive;
    }
};

}  // namespace sutazai::models
